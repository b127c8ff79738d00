#include "reference.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <complex>
#include <functional>
#include <limits>
#include <type_traits>
#include <vector>

#include "lapack.hpp"
#include "matrix_load.hpp"
#include "spectrum_metrics.hpp"
#include "structure.hpp"

namespace eigencore::reference {

namespace {

template <class Real>
using Matrix = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic>;
using MatrixF64 = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Complex = std::complex<double>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// The spectrum of one matrix, descending by magnitude; in double whatever it was computed in.
template <class Value>
struct Solved {
  std::vector<Value> values;
  Status status = Status::ok;
  /// Read off a diagonal: no rounding stands between the input and these values.
  bool exact = false;
};

/// Takes a power of two out of `a`, exactly, so that its largest entry lies in [1/2, 1) of any
/// Real, and returns its exponent. Scaling comes before narrowing: float64 input of 1e±200 has a
/// float32 spectrum.
template <class Real, class Derived>
Matrix<Real> scaled(const Eigen::MatrixBase<Derived>& a, int& exponent) {
  const double largest = a.cwiseAbs().maxCoeff();
  exponent = 0;
  if (largest > 0) std::frexp(largest, &exponent);
  return a.unaryExpr([exponent](double x) { return static_cast<Real>(std::ldexp(x, -exponent)); });
}

/// Parlett and Reinsch: scales rows against columns by powers of two until their norms agree. In
/// double, before narrowing: what is out of float's range may well balance into it.
void balance(Matrix<double>& a) {
  constexpr double radix = 2;
  for (bool changed = true; changed;) {
    changed = false;
    for (Eigen::Index i = 0; i < a.rows(); ++i) {
      // The diagonal is left out of the sums, not subtracted from them: next to a large one, small
      // entries would cancel away and the row would pass for isolated.
      double column = 0, row = 0;
      for (Eigen::Index j = 0; j < a.rows(); ++j) {
        if (j == i) continue;
        column += std::abs(a(j, i));
        row += std::abs(a(i, j));
      }
      if (!(column > 0) || !(row > 0)) continue;
      const double before = column + row;
      double factor = 1;
      for (; column < row / radix; column *= radix * radix) factor *= radix;
      for (; column >= row * radix; column /= radix * radix) factor /= radix;
      if (!((column + row) / factor < 0.95 * before) || !std::isnormal(factor)) continue;
      a.row(i) /= factor;
      a.col(i) *= factor;
      changed = true;
    }
  }
}

bool serves(std::size_t n) { return n >= kLapackFrom && has_lapack(); }

/// Eigenvalues by LAPACK, which balances; false where it did not converge.
template <class Real>
bool by_lapack(Matrix<Real> a, std::vector<Complex>& values) {
  const auto n = static_cast<std::size_t>(a.rows());
  std::vector<Real> re(n), im(n);
  if (!lapack_eigenvalues(n, a.data(), re.data(), im.data())) return false;
  for (std::size_t i = 0; i < n; ++i) values.emplace_back(re[i], im[i]);
  return true;
}

template <class Real>
bool singular_values_of(const Matrix<Real>& a, std::vector<double>& values) {
  const auto n = static_cast<std::size_t>(a.rows());
  if (serves(n)) {
    Matrix<Real> destroyed = a;
    std::vector<Real> sigma(n);
    if (lapack_singular_values(n, destroyed.data(), sigma.data())) {
      values.assign(sigma.begin(), sigma.end());
      return true;
    }
  }
  const Eigen::BDCSVD<Matrix<Real>> svd(a);
  if (svd.info() != Eigen::Success) return false;
  values.assign(svd.singularValues().begin(), svd.singularValues().end());
  return true;
}

template <class Real>
bool by_eigen(const Matrix<Real>& a, std::vector<Complex>& values) {
  const Eigen::EigenSolver<Matrix<Real>> solver(a, false);
  if (solver.info() != Eigen::Success) return false;
  for (const Complex z : solver.eigenvalues().template cast<Complex>()) values.push_back(z);
  return true;
}

/// Eigenvalues of a, of which a power of two may be left out: its exponent is added to `exponent`.
template <class Real>
bool eigenvalues_of(Matrix<double> a, std::vector<Complex>& values, int& exponent) {
  const bool lapack = serves(static_cast<std::size_t>(a.rows()));
  if constexpr (std::is_same_v<Real, double>) {
    if (lapack && by_lapack<double>(a, values)) return true;
  }
  balance(a);
  int rest = 0;
  const Matrix<Real> narrowed = scaled<Real>(a, rest);
  exponent += rest;
  if constexpr (!std::is_same_v<Real, double>) {
    if (lapack && by_lapack<Real>(narrowed, values)) return true;
  }
  return by_eigen<Real>(narrowed, values);
}

template <class Real>
void solve_irreducible(const MatrixF64& block, Solved<Complex>& solved) {
  int exponent = 0;
  std::vector<Complex> found;
  const Matrix<double> a = scaled<double>(block, exponent);
  if (!eigenvalues_of<Real>(a, found, exponent)) {
    solved.status = Status::not_converged;
    return;
  }
  for (const Complex z : found) {
    solved.values.emplace_back(std::ldexp(z.real(), exponent), std::ldexp(z.imag(), exponent));
  }
}

template <class Real>
void solve_blocks(const MatrixF64& a, Solved<Complex>& solved) {
  const auto n = static_cast<std::size_t>(a.rows());
  solved.exact = true;
  for (const auto& members : irreducible_blocks(a.data(), n)) {
    if (members.size() == 1) {
      const auto i = static_cast<Eigen::Index>(members[0]);
      solved.values.emplace_back(a(i, i));
      continue;
    }
    solved.exact = false;
    const auto size = static_cast<Eigen::Index>(members.size());
    MatrixF64 block(size, size);
    for (std::size_t i = 0; i < members.size(); ++i) {
      for (std::size_t j = 0; j < members.size(); ++j) {
        block.data()[i * members.size() + j] = a.data()[members[i] * n + members[j]];
      }
    }
    solve_irreducible<Real>(block, solved);
    if (solved.status != Status::ok) return;
  }
}

void sort_descending(std::vector<Complex>& values) {
  std::sort(values.begin(), values.end(), [](const Complex& x, const Complex& y) {
    const double ax = std::hypot(x.real(), x.imag()), ay = std::hypot(y.real(), y.imag());
    if (ax != ay) return ax > ay;
    if (x.real() != y.real()) return x.real() > y.real();
    return x.imag() > y.imag();
  });
}

void sort_descending(std::vector<double>& values) {
  std::sort(values.begin(), values.end(), std::greater<>());
}

/// Sorts, and turns a spectrum that left the range of double into a status.
template <class Value>
void finish(Solved<Value>& solved) {
  if (solved.status != Status::ok) return;
  const auto finite = [](const Value& value) { return std::isfinite(std::abs(value)); };
  if (!std::all_of(solved.values.begin(), solved.values.end(), finite)) {
    solved.status = Status::non_finite;
    return;
  }
  sort_descending(solved.values);
}

Solved<Complex> diagonal_eigenvalues(const MatrixBatch& batch, std::size_t matrix) {
  std::vector<double> diagonal(batch.length(matrix));
  Solved<Complex> solved;
  if (!load_diagonal(batch, matrix, diagonal.data())) {
    solved.status = Status::non_finite;
    return solved;
  }
  solved.values.assign(diagonal.begin(), diagonal.end());
  solved.exact = true;
  finish(solved);
  return solved;
}

template <class Real>
Solved<Complex> eigenvalues(const MatrixBatch& batch, std::size_t matrix, Structure structure) {
  if (structure == Structure::causal) return diagonal_eigenvalues(batch, matrix);
  const std::size_t n = batch.length(matrix);
  const auto size = static_cast<Eigen::Index>(n);
  MatrixF64 a(size, size);
  Solved<Complex> solved;
  if (!load_matrix(batch, matrix, a.data())) {
    solved.status = Status::non_finite;
    return solved;
  }
  solved.values.reserve(n);
  const bool look = structure == Structure::automatic;
  if (look && (is_lower_triangular(a.data(), n) || is_upper_triangular(a.data(), n))) {
    for (Eigen::Index i = 0; i < size; ++i) solved.values.emplace_back(a(i, i));
    solved.exact = true;
  } else {
    solve_blocks<Real>(a, solved);
  }
  finish(solved);
  return solved;
}

template <class Real>
Solved<double> singular_values(const MatrixBatch& batch, std::size_t matrix, Structure structure) {
  const auto size = static_cast<Eigen::Index>(batch.length(matrix));
  MatrixF64 a(size, size);
  Solved<double> solved;
  if (!load_matrix(batch, matrix, a.data(), structure == Structure::causal)) {
    solved.status = Status::non_finite;
    return solved;
  }
  int exponent = 0;
  if (!singular_values_of<Real>(scaled<Real>(a, exponent), solved.values)) {
    solved.status = Status::not_converged;
    return solved;
  }
  for (double& value : solved.values) value = std::ldexp(value, exponent);
  finish(solved);
  return solved;
}

/// As finish, for the type that values are handed out in.
template <class Real, class Value>
void finish_as(Solved<Value>& solved) {
  if (solved.status != Status::ok) return;
  if (!std::isfinite(static_cast<Real>(std::abs(solved.values[0])))) {
    solved.status = Status::non_finite;
  }
}

/// Writes a spectrum and NaN behind it, or NaN alone.
template <class Value, class Out>
void write_values(const Solved<Value>& solved, std::size_t n, Out* out) {
  std::fill_n(out, n, Out(static_cast<float>(kNaN)));
  if (solved.status != Status::ok) return;
  std::transform(solved.values.begin(), solved.values.end(), out,
                 [](const Value& x) { return static_cast<Out>(x); });
}

template <class Real>
void eigvals_of_batch(const MatrixBatch& batch, Structure structure, std::complex<Real>* values,
                      Status* status) {
  for (std::size_t matrix = 0; matrix < batch.count; ++matrix) {
    auto solved = eigenvalues<Real>(batch, matrix, structure);
    finish_as<Real>(solved);
    status[matrix] = solved.status;
    write_values(solved, batch.n, values + matrix * batch.n);
  }
}

template <class Real>
void svdvals_of_batch(const MatrixBatch& batch, Real* values, Status* status) {
  for (std::size_t matrix = 0; matrix < batch.count; ++matrix) {
    auto solved = singular_values<Real>(batch, matrix, Structure::dense);
    finish_as<Real>(solved);
    status[matrix] = solved.status;
    write_values(solved, batch.n, values + matrix * batch.n);
  }
}

/// Writes the matrix's entry of each of kMetricCount planes.
template <class Value>
Status write_metrics(const Solved<Value>& solved, Spectrum spectrum, double epsilon, double* out,
                     std::size_t plane) {
  double table[kMetricCount];
  std::fill_n(table, kMetricCount, kNaN);
  if (solved.status == Status::ok) {
    std::vector<double> magnitudes(solved.values.size());
    std::transform(solved.values.begin(), solved.values.end(), magnitudes.begin(),
                   [](const Complex& z) { return std::hypot(z.real(), z.imag()); });
    const double resolution = solved.exact ? 0.0 : static_cast<double>(magnitudes.size()) * epsilon;
    spectrum_metrics(magnitudes.data(), magnitudes.size(), resolution, spectrum, table);
  }
  for (std::size_t c = 0; c < kMetricCount; ++c) out[c * plane] = table[c];
  return solved.status;
}

template <class Real>
void metrics_of_batch(const MatrixBatch& batch, Spectrum spectrum, Structure structure, double* out,
                      Status* status) {
  constexpr double epsilon = std::numeric_limits<Real>::epsilon();
  for (std::size_t matrix = 0; matrix < batch.count; ++matrix) {
    const auto write = [&](const auto& solved) {
      return write_metrics(solved, spectrum, epsilon, out + matrix, batch.count);
    };
    status[matrix] = spectrum == Spectrum::eigen
                         ? write(eigenvalues<Real>(batch, matrix, structure))
                         : write(singular_values<Real>(batch, matrix, structure));
  }
}

}  // namespace

template <class Real>
const Kernels<Real>& kernels() {
  static constexpr Kernels<Real> table{&eigvals_of_batch<Real>, &svdvals_of_batch<Real>,
                                       &metrics_of_batch<Real>};
  return table;
}

template const Kernels<float>& kernels<float>();
template const Kernels<double>& kernels<double>();

}  // namespace eigencore::reference
