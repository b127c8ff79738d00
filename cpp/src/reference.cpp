#include "reference.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>

#include "matrix_load.hpp"
#include "spectrum_metrics.hpp"
#include "structure.hpp"

namespace eigencore::reference {

namespace {

template <class Real>
using Matrix = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Scales by a power of two, exactly, so that the largest entry lies in [1/2, 1); returns the
/// exponent taken out.
template <class Derived>
int normalize_scale(Eigen::MatrixBase<Derived>& a) {
  using Real = typename Derived::Scalar;
  const Real largest = a.cwiseAbs().maxCoeff();
  if (largest == 0) return 0;
  int exponent = 0;
  std::frexp(largest, &exponent);
  a = a.unaryExpr([exponent](Real x) { return std::ldexp(x, -exponent); });
  return exponent;
}

/// Parlett and Reinsch: scales rows against columns by powers of two until their norms agree.
template <class Real>
void balance(Matrix<Real>& a) {
  constexpr Real radix = 2;
  for (bool changed = true; changed;) {
    changed = false;
    for (Eigen::Index i = 0; i < a.rows(); ++i) {
      const Real diagonal = std::abs(a(i, i));
      Real column = a.col(i).template lpNorm<1>() - diagonal;
      const Real row = a.row(i).template lpNorm<1>() - diagonal;
      if (!(column > 0) || !(row > 0)) continue;
      const Real before = column + row;
      Real factor = 1;
      for (; column < row / radix; column *= radix * radix) factor *= radix;
      for (; column >= row * radix; column /= radix * radix) factor /= radix;
      if (!((column + row) / factor < Real(0.95) * before) || !std::isnormal(factor)) continue;
      a.row(i) /= factor;
      a.col(i) *= factor;
      changed = true;
    }
  }
}

template <class Real>
void solve_block(Matrix<Real> block, Solved<std::complex<Real>>& solved) {
  const int exponent = normalize_scale(block);
  balance(block);
  const Eigen::EigenSolver<Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic>> solver(block,
                                                                                       false);
  if (solver.info() != Eigen::Success) {
    solved.status = Status::not_converged;
    return;
  }
  for (const std::complex<Real>& z : solver.eigenvalues()) {
    solved.values.emplace_back(std::ldexp(z.real(), exponent), std::ldexp(z.imag(), exponent));
  }
}

template <class Real>
void solve_blocks(const std::vector<Real>& a, std::size_t n, Solved<std::complex<Real>>& solved) {
  solved.exact = true;
  for (const std::vector<std::size_t>& members : irreducible_blocks(a.data(), n)) {
    if (members.size() == 1) {
      solved.values.emplace_back(a[members[0] * n + members[0]]);
      continue;
    }
    solved.exact = false;
    const auto size = static_cast<Eigen::Index>(members.size());
    Matrix<Real> block(size, size);
    for (Eigen::Index i = 0; i < size; ++i) {
      for (Eigen::Index j = 0; j < size; ++j) {
        block(i, j) =
            a[members[static_cast<std::size_t>(i)] * n + members[static_cast<std::size_t>(j)]];
      }
    }
    solve_block(std::move(block), solved);
    if (solved.status != Status::ok) return;
  }
}

template <class Real>
void sort_by_magnitude(std::vector<std::complex<Real>>& values) {
  std::sort(values.begin(), values.end(), [](const auto& x, const auto& y) {
    const Real ax = std::hypot(x.real(), x.imag()), ay = std::hypot(y.real(), y.imag());
    if (ax != ay) return ax > ay;
    if (x.real() != y.real()) return x.real() > y.real();
    return x.imag() > y.imag();
  });
}

template <class Value>
void write_values(const Solved<Value>& solved, std::size_t n, Value* out) {
  std::fill_n(out, n, Value(std::numeric_limits<double>::quiet_NaN()));
  if (solved.status == Status::ok) std::copy(solved.values.begin(), solved.values.end(), out);
}

}  // namespace

template <class Real>
Solved<std::complex<Real>> eigenvalues(const MatrixBatch& batch, std::size_t matrix,
                                       Structure structure) {
  const std::size_t n = batch.length(matrix);
  Solved<std::complex<Real>> solved;
  std::vector<Real> a(structure == Structure::causal ? n : n * n);
  const bool finite = structure == Structure::causal ? load_diagonal(batch, matrix, a.data())
                                                     : load_matrix(batch, matrix, a.data());
  if (!finite) {
    solved.status = Status::non_finite;
    return solved;
  }
  solved.values.reserve(n);
  const bool looks = structure == Structure::automatic;
  if (structure == Structure::causal) {
    solved.values.assign(a.begin(), a.end());
    solved.exact = true;
  } else if (looks && (is_lower_triangular(a.data(), n) || is_upper_triangular(a.data(), n))) {
    for (std::size_t i = 0; i < n; ++i) solved.values.emplace_back(a[i * n + i]);
    solved.exact = true;
  } else if (looks) {
    solve_blocks(a, n, solved);
  } else {
    const auto size = static_cast<Eigen::Index>(n);
    solve_block<Real>(Eigen::Map<const Matrix<Real>>(a.data(), size, size), solved);
  }
  sort_by_magnitude(solved.values);
  return solved;
}

template <class Real>
Solved<Real> singular_values(const MatrixBatch& batch, std::size_t matrix) {
  const std::size_t n = batch.length(matrix);
  const auto size = static_cast<Eigen::Index>(n);
  Solved<Real> solved;
  Matrix<Real> a(size, size);
  if (!load_matrix(batch, matrix, a.data())) {
    solved.status = Status::non_finite;
    return solved;
  }
  const int exponent = normalize_scale(a);
  const Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic> column_major = a;
  const auto values = column_major.bdcSvd().singularValues().eval();
  solved.values.assign(values.begin(), values.end());
  for (Real& value : solved.values) {
    if (!std::isfinite(value)) solved.status = Status::not_converged;
    value = std::ldexp(value, exponent);
  }
  std::sort(solved.values.begin(), solved.values.end(), std::greater<>());
  return solved;
}

namespace {

template <class Real>
void eigvals_of_batch(const MatrixBatch& batch, Structure structure, std::complex<Real>* values,
                      Status* status) {
  for (std::size_t matrix = 0; matrix < batch.count; ++matrix) {
    const auto solved = eigenvalues<Real>(batch, matrix, structure);
    status[matrix] = solved.status;
    write_values(solved, batch.n, values + matrix * batch.n);
  }
}

template <class Real>
void svdvals_of_batch(const MatrixBatch& batch, Real* values, Status* status) {
  for (std::size_t matrix = 0; matrix < batch.count; ++matrix) {
    const auto solved = singular_values<Real>(batch, matrix);
    status[matrix] = solved.status;
    write_values(solved, batch.n, values + matrix * batch.n);
  }
}

template <class Value>
void metrics_of_solved(const Solved<Value>& solved, Spectrum spectrum, double epsilon,
                       double* out) {
  if (solved.status != Status::ok) {
    std::fill_n(out, kMetricCount, std::numeric_limits<double>::quiet_NaN());
    return;
  }
  std::vector<double> magnitudes;
  magnitudes.reserve(solved.values.size());
  for (const Value& value : solved.values) {
    const std::complex<double> z(value);
    magnitudes.push_back(std::hypot(z.real(), z.imag()));
  }
  // In double two magnitudes that were equal in float may differ in the last place, out of order.
  std::sort(magnitudes.begin(), magnitudes.end(), std::greater<>());
  const double resolution = solved.exact ? 0.0 : static_cast<double>(magnitudes.size()) * epsilon;
  spectrum_metrics(magnitudes.data(), magnitudes.size(), resolution, spectrum, out);
}

template <class Real>
void metrics_of_batch(const MatrixBatch& batch, Spectrum spectrum, Structure structure, double* out,
                      Status* status) {
  constexpr double epsilon = std::numeric_limits<Real>::epsilon();
  for (std::size_t matrix = 0; matrix < batch.count; ++matrix) {
    double* row = out + matrix * kMetricCount;
    if (spectrum == Spectrum::eigen) {
      const auto solved = eigenvalues<Real>(batch, matrix, structure);
      status[matrix] = solved.status;
      metrics_of_solved(solved, spectrum, epsilon, row);
    } else {
      const auto solved = singular_values<Real>(batch, matrix);
      status[matrix] = solved.status;
      metrics_of_solved(solved, spectrum, epsilon, row);
    }
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
