#include "fuzz_invariants.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

namespace eigencore::fuzz {

namespace {

/// Ends the process unless a rule holds.
#define EIGENCORE_HOLDS(rule, a, ...)            \
  do {                                           \
    if (rule) break;                             \
    (a).batch.describe((a).matrix);              \
    std::fprintf(stderr, "broken: %s, ", #rule); \
    std::fprintf(stderr, __VA_ARGS__);           \
    std::fprintf(stderr, "\n");                  \
    std::abort();                                \
  } while (false)

bool is_between(double low, double x, double high) {
  constexpr double slack = 1e-7;
  return x >= low - slack * (1 + std::abs(low)) && x <= high + slack * (1 + std::abs(high));
}

template <class Value>
void check_nan_from(const Matrix& a, const Value* values, std::size_t begin, std::size_t end) {
  for (std::size_t k = begin; k < end; ++k) {
    const double x = static_cast<double>(std::real(values[k]));
    EIGENCORE_HOLDS(std::isnan(x), a, "value %zu is %g", k, x);
  }
}

/// Entropy in bits and effective rank, from the definitions.
struct Entropy {
  double bits = 0, participation = 0;

  Entropy(const double* magnitudes, std::size_t n) {
    long double sum = 0, squares = 0, plogp = 0;
    for (std::size_t k = 0; k < n; ++k) sum += magnitudes[k];
    for (std::size_t k = 0; k < n; ++k) {
      const long double p = magnitudes[k] / sum;
      squares += p * p;
      if (p > 0) plogp += p * std::log2(p);
    }
    bits = static_cast<double>(-plogp);
    participation = static_cast<double>(1 / squares);
  }
};

}  // namespace

Matrix::Matrix(const Case& batch, std::size_t matrix, std::size_t n, Part part)
    : batch(batch), matrix(matrix), n(n) {
  const auto is_read = [part](std::size_t i, std::size_t j) {
    return part == Part::all || i == j || (part == Part::lower && j < i);
  };
  double largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      if (!is_read(i, j)) continue;
      const double x = batch.entry(matrix, i, j);
      finite &= std::isfinite(x);
      largest = std::max(largest, std::abs(x));
    }
  }
  if (!finite) return;
  std::frexp(largest, &exponent);
  for (std::size_t i = 0; i < n; ++i) {
    trace += scaled(batch.entry(matrix, i, i));
    for (std::size_t j = 0; j < n; ++j) {
      if (is_read(i, j)) norm = std::hypot(norm, scaled(batch.entry(matrix, i, j)));
    }
  }
}

double Matrix::scaled(double x) const { return std::ldexp(x, -exponent); }

template <class Real>
double Matrix::error() const {
  const double epsilon = std::numeric_limits<Real>::epsilon();
  const double unit = scaled(static_cast<double>(std::numeric_limits<Real>::denorm_min()));
  return 64 * static_cast<double>(n) * epsilon * norm + 2 * unit;
}

template <class Real>
bool Matrix::may_overflow() const {
  return std::log2(norm) + exponent > std::numeric_limits<Real>::max_exponent - 2;
}

template <class Real>
void check_status(const Matrix& a, Status status) {
  const int code = static_cast<int>(status);
  if (!a.finite) {
    EIGENCORE_HOLDS(status == Status::non_finite, a, "status %d for NaN or infinity", code);
  } else if (!a.may_overflow<Real>()) {
    EIGENCORE_HOLDS(status == Status::ok, a, "status %d for finite numbers", code);
  } else {
    EIGENCORE_HOLDS(status == Status::ok || status == Status::non_finite, a, "status %d", code);
  }
}

template <class Real>
void check_eigenvalues(const Matrix& a, const std::complex<Real>* values, std::size_t n_of_batch,
                       Status status) {
  check_status<Real>(a, status);
  check_nan_from(a, values, status == Status::ok ? a.n : 0, n_of_batch);
  if (status != Status::ok) return;
  const double epsilon = std::numeric_limits<Real>::epsilon(), error = a.error<Real>(),
               n = static_cast<double>(a.n);
  double re = 0, im = 0, norm = 0, before = std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < a.n; ++k) {
    const double x = a.scaled(static_cast<double>(values[k].real())),
                 y = a.scaled(static_cast<double>(values[k].imag())), size = std::hypot(x, y);
    EIGENCORE_HOLDS(std::isfinite(size), a, "value %zu is %g + %g i", k, x, y);
    EIGENCORE_HOLDS(size <= before + 4 * epsilon * before + error, a, "value %zu", k);
    const auto is_partner = [&](const std::complex<Real>& z) { return z == std::conj(values[k]); };
    EIGENCORE_HOLDS(std::any_of(values, values + a.n, is_partner), a, "value %zu alone", k);
    re += x;
    im += y;
    norm = std::hypot(norm, size);
    before = size;
  }
  EIGENCORE_HOLDS(std::abs(re - a.trace) <= n * error, a, "sum %.17g, trace %.17g", re, a.trace);
  EIGENCORE_HOLDS(std::abs(im) <= n * error, a, "imaginary parts sum to %g", im);
  EIGENCORE_HOLDS(norm <= a.norm + n * error, a, "|lambda| %.17g > |A| %.17g", norm, a.norm);
}

template <class Real>
void check_singular_values(const Matrix& a, const Real* values, const Real* other,
                           std::size_t n_of_batch, Status status) {
  check_status<Real>(a, status);
  check_nan_from(a, values, status == Status::ok ? a.n : 0, n_of_batch);
  if (status != Status::ok) return;
  const double error = a.error<Real>();
  double norm = 0, before = std::numeric_limits<double>::infinity();
  for (std::size_t k = 0; k < a.n; ++k) {
    const double x = a.scaled(static_cast<double>(values[k]));
    EIGENCORE_HOLDS(x >= 0 && x <= before, a, "value %zu: %.17g after %.17g", k, x, before);
    if (other) {
      const double y = a.scaled(static_cast<double>(other[k]));
      EIGENCORE_HOLDS(std::abs(x - y) <= error, a, "value %zu: %.17g, not %.17g", k, x, y);
    }
    norm = std::hypot(norm, x);
    before = x;
  }
  EIGENCORE_HOLDS(std::abs(norm - a.norm) <= error * static_cast<double>(a.n), a,
                  "|sigma| %.17g, |A| %.17g", norm, a.norm);
}

void check_metrics(const Matrix& a, const double* row, const double* magnitudes, Spectrum spectrum,
                   Status status) {
  if (status != Status::ok) {
    check_nan_from(a, row, 0, kMetricCount);
    return;
  }
  const double n = static_cast<double>(a.n);
  const auto check_range = [&](Metric metric, double low, double high, bool is_defined) {
    const double x = row[metric];
    EIGENCORE_HOLDS(
        is_defined ? is_between(low, x, high) : std::isnan(x) || is_between(low, x, high), a,
        "%s is %.17g", kMetricNames[metric], x);
  };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const bool has_size = magnitudes && magnitudes[0] > 0, has_two = has_size && a.n > 1;
  check_range(kSpectralEntropy, 0, std::log2(n), has_size);
  check_range(kNormalizedEntropy, 0, 1, has_two);
  check_range(kEffectiveRank, 1, n, has_size);
  check_range(kDominantRatio, 1 / n, 1, has_size);
  check_range(kConditionNumber, 1, infinity, has_size);
  check_range(kDegeneracy, 0, 1, has_two);
  check_range(kPhiProximity, 0, 1, true);
  check_range(kSpectralGap, 0, 1, has_two);
  check_range(kParticipationRatio, 1, n, has_size);
  check_range(kStableRank, 1, n, has_size && spectrum == Spectrum::singular);
  EIGENCORE_HOLDS(!std::isnan(row[kLogAbsDet]), a, "log_abs_det is NaN");
  // Of subnormal spectra the metrics know more than what could be written of the values.
  if (!has_size || magnitudes[0] < 1e-300) return;
  const Entropy expected(magnitudes, a.n);
  EIGENCORE_HOLDS(std::abs(row[kSpectralEntropy] - expected.bits) <= 1e-9 * n, a,
                  "entropy %.17g, not %.17g", row[kSpectralEntropy], expected.bits);
  EIGENCORE_HOLDS(std::abs(row[kParticipationRatio] - expected.participation) <= 1e-9 * n * n, a,
                  "participation %.17g, not %.17g", row[kParticipationRatio],
                  expected.participation);
}

void check_row_metrics(const Case& batch, const double* table, const Status* status) {
  const std::size_t n = batch.batch().n, count = batch.batch().count;
  for (std::size_t matrix = 0; matrix < count; ++matrix) {
    const Matrix a(batch, matrix, n, Part::all);
    EIGENCORE_HOLDS((status[matrix] == Status::ok) == a.finite, a, "rows of status %d",
                    static_cast<int>(status[matrix]));
    for (std::size_t i = 0; i < n; ++i) {
      const auto at = [&](RowMetric metric) { return table[(metric * count + matrix) * n + i]; };
      if (!a.finite) {
        for (std::size_t m = 0; m < kRowMetricCount; ++m) {
          EIGENCORE_HOLDS(std::isnan(at(static_cast<RowMetric>(m))), a, "row %zu", i);
        }
        continue;
      }
      double largest = -std::numeric_limits<double>::infinity(), mass = 0, size = 0;
      bool is_distribution = true;
      for (std::size_t j = 0; j < n; ++j) {
        const double x = batch.entry(matrix, i, j);
        largest = std::max(largest, x);
        mass += x;
        size += std::abs(x);
        is_distribution &= x >= 0;
      }
      EIGENCORE_HOLDS(at(kSelfWeight) == batch.entry(matrix, i, i), a, "row %zu", i);
      EIGENCORE_HOLDS(at(kSinkWeight) == batch.entry(matrix, i, 0), a, "row %zu", i);
      EIGENCORE_HOLDS(at(kMaxWeight) == largest, a, "row %zu", i);
      if (!std::isfinite(size)) continue;
      EIGENCORE_HOLDS(std::abs(at(kRowMass) - mass) <= 1e-12 * size, a, "row %zu", i);
      if (is_distribution && mass > 1e-300) {
        EIGENCORE_HOLDS(is_between(0, at(kRowEntropy), std::log2(static_cast<double>(n))), a,
                        "row %zu: entropy %.17g", i, at(kRowEntropy));
      }
    }
  }
}

template void check_status<float>(const Matrix&, Status);
template void check_status<double>(const Matrix&, Status);
template void check_eigenvalues(const Matrix&, const std::complex<float>*, std::size_t, Status);
template void check_eigenvalues(const Matrix&, const std::complex<double>*, std::size_t, Status);
template void check_singular_values(const Matrix&, const float*, const float*, std::size_t, Status);
template void check_singular_values(const Matrix&, const double*, const double*, std::size_t,
                                    Status);

}  // namespace eigencore::fuzz
