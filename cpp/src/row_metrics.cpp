#include "row_metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "matrix_load.hpp"

namespace eigencore {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct RowSums {
  double mass = 0, squares = 0, largest = -std::numeric_limits<double>::infinity();
};

RowSums sum_row(const double* row, std::size_t n) {
  RowSums sums;
  for (std::size_t j = 0; j < n; ++j) {
    sums.mass += row[j];
    sums.squares += row[j] * row[j];
    sums.largest = std::max(sums.largest, row[j]);
  }
  return sums;
}

double entropy_bits(const double* row, std::size_t n, double mass) {
  if (!(mass > 0)) return kNaN;
  double entropy = 0;
  for (std::size_t j = 0; j < n; ++j) {
    const double p = row[j] / mass;
    if (p != 0) entropy -= p * std::log2(p);
  }
  return std::max(entropy, 0.0);  // in this order: NaN from a negative weight stays NaN
}

void rows_of_matrix(const double* a, std::size_t n, std::size_t matrix, std::size_t plane,
                    double* out) {
  const auto at = [&](RowMetric metric, std::size_t i) -> double& {
    return out[metric * plane + matrix * n + i];
  };
  std::vector<double> received(n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    const double* row = a + i * n;
    const RowSums sums = sum_row(row, n);
    at(kRowEntropy, i) = entropy_bits(row, n, sums.mass);
    at(kRowMass, i) = sums.mass;
    at(kSelfWeight, i) = row[i];
    at(kSinkWeight, i) = row[0];
    at(kRowParticipation, i) = sums.squares > 0 ? 1.0 / sums.squares : kNaN;
    at(kMaxWeight, i) = sums.largest;
    for (std::size_t j = 0; j <= i; ++j) received[j] += row[j];
  }
  for (std::size_t i = 0; i < n; ++i) {
    at(kLaplacian, i) = received[i] / static_cast<double>(n - i) - a[i * n + i];
  }
}

}  // namespace

void row_metrics(const MatrixBatch& batch, double* out, Status* status) {
  const std::size_t n = batch.n, plane = batch.count * n;
  std::vector<double> a(n * n);
  for (std::size_t matrix = 0; matrix < batch.count; ++matrix) {
    const bool finite = load_matrix(batch, matrix, a.data());
    status[matrix] = finite ? Status::ok : Status::non_finite;
    if (finite) {
      rows_of_matrix(a.data(), n, matrix, plane, out);
      continue;
    }
    for (std::size_t metric = 0; metric < kRowMetricCount; ++metric) {
      std::fill_n(out + metric * plane + matrix * n, n, kNaN);
    }
  }
}

}  // namespace eigencore
