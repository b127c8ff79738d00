#pragma once

#include <cstddef>

namespace eigencore {

/// Positions in a row of metrics; kMetricNames has the names in the same order.
enum Metric : std::size_t {
  kSpectralEntropy,
  kNormalizedEntropy,
  kEffectiveRank,
  kDominantRatio,
  kConditionNumber,
  kDegeneracy,
  kPhiProximity,
  kSpectralGap,
  kParticipationRatio,
  kLogAbsDet,
  kStableRank,
  kMetricCount,
};

constexpr double kGoldenRatio = 1.6180339887498948482;
/// Ratios over magnitudes at or below this say nothing of a spectrum.
constexpr double kPhiFloor = 1e-10;

}  // namespace eigencore
