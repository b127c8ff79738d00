#include "running_spectrum.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "spectrum_metrics.hpp"

namespace eigencore {

RunningSpectra::RunningSpectra(std::size_t count) : series_(count) {}

void RunningSpectra::append(const double* log_magnitudes, double* out) {
  for (Series& series : series_) series.descending.reserve(length_ + 1);
  ++length_;
  for (std::size_t i = 0; i < series_.size(); ++i) {
    Series& series = series_[i];
    const double ln_m = log_magnitudes[i], m = std::exp(ln_m);
    series.broken |= !std::isfinite(m);
    if (!series.broken) {
      series.sum += m;
      series.sum_m_ln_m += m > 0 ? m * ln_m : 0.0;
      series.sum_of_squares += m * m;
      series.sum_ln_m += ln_m;
      series.insert(m);
    }
    series.metrics(out + i * kMetricCount);
  }
}

void RunningSpectra::Series::insert(double magnitude) {
  const auto at =
      std::upper_bound(descending.begin(), descending.end(), magnitude, std::greater<>());
  const bool has_left = at != descending.begin(), has_right = at != descending.end();
  const double parted = has_left && has_right ? phi_score(*(at - 1), *at) : 0.0;
  double joined = 0.0;
  if (has_left) joined = std::max(joined, phi_score(*(at - 1), magnitude));
  if (has_right) joined = std::max(joined, phi_score(magnitude, *at));
  descending.insert(at, magnitude);
  if (joined >= phi || parted < phi) {
    phi = std::max(phi, joined);
    return;
  }
  phi = 0.0;  // the best pair was parted: look at all of them again
  for (std::size_t i = 0; i + 1 < descending.size(); ++i) {
    phi = std::max(phi, phi_score(descending[i], descending[i + 1]));
  }
}

void RunningSpectra::Series::metrics(double* out) const {
  std::fill(out, out + kMetricCount, std::numeric_limits<double>::quiet_NaN());
  if (broken) return;
  const double largest = descending.front(), smallest = descending.back();
  const double n = static_cast<double>(descending.size());
  out[kPhiProximity] = phi;
  out[kLogAbsDet] = sum_ln_m;
  if (sum == 0) return;
  const double entropy = std::max(0.0, (std::log(sum) - sum_m_ln_m / sum) / std::numbers::ln2);
  const double mean = sum / n;
  out[kSpectralEntropy] = entropy;
  out[kEffectiveRank] = std::exp2(entropy);
  out[kDominantRatio] = largest / sum;
  out[kConditionNumber] = largest / smallest;  // x / 0 is inf, as it should be
  out[kParticipationRatio] = sum * sum / sum_of_squares;
  if (descending.size() == 1) return;
  const double variance = std::max(0.0, sum_of_squares / n - mean * mean);
  out[kNormalizedEntropy] = entropy / std::log2(n);
  out[kDegeneracy] = 1.0 - std::sqrt(variance) / (mean * std::sqrt(n - 1.0));
  out[kSpectralGap] = 1.0 - descending[1] / largest;
}

}  // namespace eigencore
