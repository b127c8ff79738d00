#include "spectrum_metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace eigencore {

namespace {
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
}  // namespace

double phi_score(double larger, double smaller) {
  if (!(smaller > kPhiFloor)) return 0.0;
  return std::max(0.0, 1.0 - std::abs(larger / smaller - kGoldenRatio) / kGoldenRatio);
}

void spectrum_metrics(const double* magnitudes, std::size_t n, double resolution, Spectrum spectrum,
                      double* out) {
  std::fill(out, out + kMetricCount, kNaN);
  const double largest = magnitudes[0], smallest = magnitudes[n - 1];
  const double size = static_cast<double>(n);

  double phi = 0.0;
  for (std::size_t i = 0; i + 1 < n; ++i)
    phi = std::max(phi, phi_score(magnitudes[i], magnitudes[i + 1]));
  out[kPhiProximity] = phi;

  const bool singular_matrix = smallest <= resolution * largest || smallest == 0;
  if (singular_matrix) {
    out[kLogAbsDet] = -kInfinity;
  } else {
    double log_sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) log_sum += std::log(magnitudes[i]);
    out[kLogAbsDet] = log_sum;
  }
  if (largest == 0) return;

  // Relative to the largest, so that neither sums nor squares leave the range of double.
  double sum = 0.0, sum_of_squares = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    const double r = magnitudes[i] / largest;
    sum += r;
    sum_of_squares += r * r;
  }
  double entropy = 0.0, squared_deviation = 0.0;
  const double mean = sum / size;
  for (std::size_t i = 0; i < n; ++i) {
    const double r = magnitudes[i] / largest;
    const double p = r / sum;
    if (p > 0) entropy -= p * std::log2(p);
    squared_deviation += (r - mean) * (r - mean);
  }
  entropy = std::max(entropy, 0.0);

  out[kSpectralEntropy] = entropy;
  out[kEffectiveRank] = std::exp2(entropy);
  out[kDominantRatio] = 1.0 / sum;
  out[kConditionNumber] = singular_matrix ? kInfinity : largest / smallest;
  out[kParticipationRatio] = sum * sum / sum_of_squares;
  if (spectrum == Spectrum::singular) out[kStableRank] = sum_of_squares;
  if (n == 1) return;
  out[kNormalizedEntropy] = entropy / std::log2(size);
  out[kDegeneracy] = 1.0 - std::sqrt(squared_deviation / size) / (mean * std::sqrt(size - 1.0));
  out[kSpectralGap] = 1.0 - magnitudes[1] / largest;
}

}  // namespace eigencore
