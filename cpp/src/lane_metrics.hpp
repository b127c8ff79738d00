#pragma once

// spectrum_metrics on lanes: the metrics of as many spectra as a register has lanes, in double.

#include "lanes.hpp"
#include "metric_table.hpp"

namespace eigencore::EIGENCORE_LEVEL {

class SpectrumMetricsOnLanes {
  static constexpr std::size_t K = 1;
  using V = Lanes<double, K>;
  using M = Mask<double, K>;

 public:
  static constexpr std::size_t W = V::width;

  static void sort(double* magnitudes, std::size_t n) {
    sorting_network(n, [magnitudes](std::size_t i, std::size_t j) {
      const V x = V::load(magnitudes + i * W), y = V::load(magnitudes + j * W);
      max(x, y).store(magnitudes + i * W);
      min(x, y).store(magnitudes + j * W);
    });
  }

  static void run(const double* m, std::size_t n, double resolution, bool singular_values,
                  double* out) {
    const V zero(0.0), one(1.0), size(static_cast<double>(n)), nan(__builtin_nan(""));
    const V largest = V::load(m), smallest = V::load(m + (n - 1) * W);
    const M is_singular = (smallest <= V(resolution) * largest) | (smallest == zero);
    const M is_zero = largest == zero;
    // Relative to the largest, so that neither sums nor squares leave the range of double.
    const V scale = one / select(is_zero, one, largest);
    const Log2 log2_largest = log2(select(is_zero, one, largest));
    V sum(0.0), squares(0.0), r_log2_r(0.0), log2_sum(0.0), phi(0.0);
    for (std::size_t i = 0; i < n; ++i) {
      const V x = V::load(m + i * W), r = relative(x, largest, scale);
      const Log2 log2_x = log2(select(x == zero, one, x));
      const V log2_r = (log2_x.whole - log2_largest.whole) + (log2_x.part - log2_largest.part);
      sum = sum + r;
      squares = r * r + squares;
      r_log2_r = r * log2_r + r_log2_r;
      log2_sum = log2_sum + log2_x.value();
      if (i + 1 < n) phi = max(phi, phi_score(x, V::load(m + (i + 1) * W)));
    }
    const V entropy = max(zero, log2(sum).value() - r_log2_r / sum);
    V table[kMetricCount];
    for (V& column : table) column = nan;
    table[kPhiProximity] = phi;
    table[kLogAbsDet] = select(is_singular, V(-__builtin_inf()), log2_sum * V(kLn2));
    table[kSpectralEntropy] = entropy;
    table[kEffectiveRank] = exp2(entropy);
    table[kDominantRatio] = one / sum;
    table[kConditionNumber] = select(is_singular, V(__builtin_inf()), largest / smallest);
    table[kParticipationRatio] = sum * sum / squares;
    if (singular_values) table[kStableRank] = squares;
    if (n > 1) {
      const V mean = sum / size;
      V deviation(0.0);
      for (std::size_t i = 0; i < n; ++i) {
        const V x = relative(V::load(m + i * W), largest, scale) - mean;
        deviation = x * x + deviation;
      }
      table[kNormalizedEntropy] = entropy / log2(size).value();
      table[kDegeneracy] = one - sqrt(deviation / size) / (mean * sqrt(size - one));
      table[kSpectralGap] = one - relative(V::load(m + W), largest, scale);
    }
    for (std::size_t column = 0; column < kMetricCount; ++column) {
      const bool is_ratio = column != kPhiProximity && column != kLogAbsDet;
      const V values = is_ratio ? select(is_zero, nan, table[column]) : table[column];
      for (std::size_t l = 0; l < W; ++l) out[l * kMetricCount + column] = values.v[0][l];
    }
  }

 private:
  static constexpr double kLn2 = 0.69314718055994530942;

  /// x / largest; by the reciprocal where that is normal.
  static EIGENCORE_INLINE V relative(const V& x, const V& largest, const V& scale) {
    const M safe = (scale < V(0x1p1000)) & (V(0x1p-1000) < scale);
    if (none(~safe)) return x * scale;
    return x / select(largest == V(0.0), V(1.0), largest);
  }

  static EIGENCORE_INLINE V phi_score(const V& larger, const V& smaller) {
    const M counts = V(kPhiFloor) < smaller;
    const V ratio = larger / select(counts, smaller, V(1.0));
    const V golden(kGoldenRatio);
    return zero_unless(counts, max(V(0.0), V(1.0) - abs(ratio - golden) / golden));
  }

  /// log2 of a positive number is `whole` + `part`, within two units in the last place, and whole
  /// is exact: spectra that differ by a power of two have the same parts.
  struct Log2 {
    V whole, part;
    EIGENCORE_INLINE V value() const { return whole + part; }
  };

  static EIGENCORE_INLINE Log2 log2(const V& x) {
    const M tiny = x < V(Limits<double>::smallest_normal);
    const V lifted = select(tiny, x * V(0x1p54), x);
    V exponent = exponent_of(lifted);
    V mantissa = lifted * power_of_two(-exponent);  // in [1, 2)
    const M upper = V(1.41421356237309504880) < mantissa;
    mantissa = select(upper, mantissa * V(0.5), mantissa);
    exponent = exponent + zero_unless(upper, V(1.0)) - zero_unless(tiny, V(54.0));
    // ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.1716
    const V s = (mantissa - V(1.0)) / (mantissa + V(1.0)), z = s * s;
    V p(2.0 / 23);
    const double coefficients[] = {2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13, 2.0 / 11,
                                   2.0 / 9,  2.0 / 7,  2.0 / 5,  2.0 / 3,  2.0};
    _Pragma("GCC unroll 16") for (const double c : coefficients) p = p * z + V(c);
    return {exponent, p * s * V(1.0 / kLn2)};
  }

  /// For 0 <= x < 64.
  static EIGENCORE_INLINE V exp2(const V& x) {
    V whole = x + V(0x1.8p52);
    whole = whole - V(0x1.8p52);
    const V r = (x - whole) * V(kLn2);
    V p(1.0 / 6227020800.0);
    const double coefficients[] = {1.0 / 479001600,
                                   1.0 / 39916800,
                                   1.0 / 3628800,
                                   1.0 / 362880,
                                   1.0 / 40320,
                                   1.0 / 5040,
                                   1.0 / 720,
                                   1.0 / 120,
                                   1.0 / 24,
                                   1.0 / 6,
                                   0.5,
                                   1.0,
                                   1.0};
    _Pragma("GCC unroll 16") for (const double c : coefficients) p = p * r + V(c);
    return p * power_of_two(whole);
  }
};

}  // namespace eigencore::EIGENCORE_LEVEL
