#pragma once

#include <array>
#include <cstddef>

#include "eigencore/batch.hpp"

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

inline constexpr std::array<const char*, kMetricCount> kMetricNames = {
    "spectral_entropy",    "normalized_entropy", "effective_rank", "dominant_ratio",
    "condition_number",    "degeneracy",         "phi_proximity",  "spectral_gap",
    "participation_ratio", "log_abs_det",        "stable_rank",
};

inline constexpr double kGoldenRatio = 1.6180339887498948482;
/// Ratios over magnitudes at or below this say nothing of a spectrum.
inline constexpr double kPhiFloor = 1e-10;

/// max(0, 1 - |larger/smaller - phi| / phi) of two neighbours in a descending spectrum; 0 at or
/// below the floor.
double phi_score(double larger, double smaller);

/// All metrics of one spectrum. magnitudes: n values, descending, finite.
/// `resolution` is the relative size under which the smallest magnitude counts as zero: n * eps of
/// a solver, or 0 for magnitudes that were read off a diagonal.
void spectrum_metrics(const double* magnitudes, std::size_t n, double resolution, Spectrum spectrum,
                      double* out);

}  // namespace eigencore
