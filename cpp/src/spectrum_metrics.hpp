#pragma once

#include <array>
#include <cstddef>

#include "eigencore/batch.hpp"
#include "metric_table.hpp"

namespace eigencore {

/// In the order of Metric.
inline constexpr std::array<const char*, kMetricCount> kMetricNames = {
    "spectral_entropy",    "normalized_entropy", "effective_rank", "dominant_ratio",
    "condition_number",    "degeneracy",         "phi_proximity",  "spectral_gap",
    "participation_ratio", "log_abs_det",        "stable_rank",
};

/// max(0, 1 - |larger/smaller - phi| / phi) of two neighbours in a descending spectrum; 0 at or
/// below the floor.
double phi_score(double larger, double smaller);

/// All metrics of one spectrum. magnitudes: n values, descending, finite.
/// `resolution` is the relative size under which the smallest magnitude counts as zero: n * eps of
/// a solver, or 0 for magnitudes that were read off a diagonal.
void spectrum_metrics(const double* magnitudes, std::size_t n, double resolution, Spectrum spectrum,
                      double* out);

}  // namespace eigencore
