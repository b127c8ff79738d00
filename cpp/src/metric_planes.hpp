#pragma once

// From spectra to metrics, as many at a time as lanes measure together.

#include <algorithm>
#include <limits>
#include <vector>

#include "lane_groups.hpp"
#include "metric_table.hpp"

namespace eigencore {

/// Where metrics of a batch go: one plane for each metric.
class MetricPlanes {
 public:
  MetricPlanes(double* out, std::size_t count) : out_(out), count_(count) {}

  double* from(std::size_t matrix) const { return out_ + matrix; }
  std::size_t stride() const { return count_; }

  /// values(metric) for one matrix.
  template <class Values>
  void write(std::size_t matrix, const Values& values) const {
    for (std::size_t c = 0; c < kMetricCount; ++c) out_[c * count_ + matrix] = values(c);
  }
  void write_nan(std::size_t matrix) const {
    write(matrix, [](std::size_t) { return std::numeric_limits<double>::quiet_NaN(); });
  }

 private:
  double* out_;
  std::size_t count_;
};

/// Collects spectra of one size until there are as many as are measured together.
class MetricLanes {
 public:
  MetricLanes(std::size_t n, double resolution, Spectrum spectrum, const MetricPlanes& out)
      : n_(n),
        resolution_(resolution),
        spectrum_(spectrum),
        out_(out),
        metrics_(active_level().metrics),
        W_(metrics_.width()),
        magnitudes_(n * W_),
        table_(W_ * kMetricCount) {
    std::fill_n(magnitudes_.get(), n * W_, 1.0);
  }

  /// magnitude(k) for k < n, downwards.
  template <class Magnitude>
  void add(std::size_t matrix, const Magnitude& magnitude) {
    for (std::size_t k = 0; k < n_; ++k) magnitudes_.get()[k * W_ + held_] = magnitude(k);
    matrices_[held_++] = matrix;
    if (held_ == W_) flush();
  }

  void flush() {
    if (held_ == 0) return;
    metrics_.metrics(magnitudes_.get(), n_, resolution_, spectrum_, table_.get());
    for (std::size_t lane = 0; lane < held_; ++lane) {
      out_.write(matrices_[lane], [&](std::size_t c) { return table_.get()[c * W_ + lane]; });
    }
    held_ = 0;
  }

 private:
  std::size_t n_;
  double resolution_;
  Spectrum spectrum_;
  MetricPlanes out_;
  const LaneMetrics& metrics_;
  std::size_t W_;
  LaneArray<double> magnitudes_, table_;
  std::size_t matrices_[kLaneAlignment] = {};
  std::size_t held_ = 0;
};

/// Metrics of a group of matrices whose eigenvalues are their diagonals: where these lie, if the
/// matrices are neighbours of a type that lanes read, else from a copy.
inline void metrics_of_diagonals(const MatrixBatch& batch, const std::size_t* matrices,
                                 const Group& group, const MetricPlanes& out, Status* status) {
  const LaneMetrics& metrics = active_level().metrics;
  const LaneArray<double> work(group.n * metrics.width());
  const std::size_t first = matrices[0], count = group.count, n = group.n;
  const bool neighbours = matrices[count - 1] - first == count - 1;
  if (neighbours && (batch.scalar == Scalar::float64 || batch.scalar == Scalar::float32)) {
    const DiagonalSource source{only(batch, first).data,
                                count,
                                n,
                                batch.batch_stride,
                                batch.row_stride + batch.col_stride,
                                batch.scalar};
    metrics.of_diagonals(source, work.get(), out.from(first), out.stride(), status + first);
    return;
  }
  const LaneArray<double> diagonals(count * n), table(count * kMetricCount);
  std::vector<Status> found(count);
  for (std::size_t k = 0; k < count; ++k) {
    load_diagonal(batch, matrices[k], diagonals.get() + k * n);
  }
  const auto row = static_cast<std::ptrdiff_t>(n * sizeof(double));
  const DiagonalSource source{reinterpret_cast<const std::byte*>(diagonals.get()),
                              count,
                              n,
                              row,
                              sizeof(double),
                              Scalar::float64};
  metrics.of_diagonals(source, work.get(), table.get(), count, found.data());
  for (std::size_t k = 0; k < count; ++k) {
    status[matrices[k]] = found[k];
    out.write(matrices[k], [&](std::size_t c) { return table.get()[c * count + k]; });
  }
}

}  // namespace eigencore
