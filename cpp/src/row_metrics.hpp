#pragma once

#include <array>
#include <cstddef>

#include "eigencore/batch.hpp"
#include "eigencore/status.hpp"

namespace eigencore {

enum RowMetric : std::size_t {
  kRowEntropy,
  kRowMass,
  kSelfWeight,
  kSinkWeight,
  kRowParticipation,
  kMaxWeight,
  kLaplacian,
  kRowMetricCount,
};

inline constexpr std::array<const char*, kRowMetricCount> kRowMetricNames = {
    "row_entropy",       "row_mass",   "self_weight", "sink_weight",
    "row_participation", "max_weight", "laplacian",
};

/// out: (kRowMetricCount, count, n), accumulated in float64; NaN where status is not ok. Lengths
/// are not used.
void row_metrics(const MatrixBatch& batch, double* out, Status* status);

}  // namespace eigencore
