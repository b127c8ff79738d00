#pragma once

// spectrum_metrics on lanes: the metrics of as many spectra as a register has lanes, in double.

#include "lane_kernels.hpp"
#include "lanes.hpp"
#include "metric_table.hpp"

namespace eigencore::EIGENCORE_LEVEL {

template <std::size_t... i, class Visit>
EIGENCORE_INLINE void for_each_of(std::index_sequence<i...>, const Visit& visit) {
  (visit(i), ...);
}

/// visit(0) ... visit(n - 1), written out where N, which then is n, is not zero.
template <std::size_t N, class Visit>
EIGENCORE_INLINE void for_each_below(std::size_t n, const Visit& visit) {
  if constexpr (N > 0) {
    for_each_of(std::make_index_sequence<N>(), visit);
  } else {
    for (std::size_t i = 0; i < n; ++i) visit(i);
  }
}

/// log2 of a number is `whole` + `part`, within two units in the last place, and whole is exact:
/// spectra that differ by a power of two have the same parts.
template <class V>
struct Log2 {
  V whole, part;
  EIGENCORE_INLINE V value() const { return whole + part; }
};

class SpectrumMetricsOnLanes {
  static constexpr std::size_t K = 1;
  using V = Lanes<double, K>;
  using M = Mask<double, K>;

 public:
  static constexpr std::size_t W = V::width;

  /// Magnitudes (n, W) downwards. N: n, or 0.
  template <std::size_t N>
  static EIGENCORE_INLINE void sort(double* magnitudes, std::size_t n) {
    const auto exchange = [magnitudes](std::size_t i, std::size_t j) EIGENCORE_INLINE_LAMBDA {
      const V x = V::load(magnitudes + i * W), y = V::load(magnitudes + j * W);
      max(x, y).store(magnitudes + i * W);
      min(x, y).store(magnitudes + j * W);
    };
    if constexpr (N > 0) {
      sorting_network_of<N>(exchange);
    } else {
      sorting_network(n, exchange);
    }
  }

  /// What depends on the size alone.
  struct Size {
    std::size_t n;
    V inverse_log2;
    explicit Size(std::size_t n)
        : n(n), inverse_log2(V(1.0) / log2<false>(V(static_cast<double>(n))).value()) {}
  };

  /// magnitudes m: (n, W), downwards, finite. Writes kMetricCount registers. N: n, or 0.
  template <std::size_t N>
  static EIGENCORE_INLINE void run(const double* m, const Size& size, double resolution,
                                   bool singular_values, V* table) {
    const std::size_t n = N ? N : size.n;
    measure<N, false>(m, size, resolution, singular_values, table);
    // Few spectra come near the ends of the range of double, where reciprocals, products and
    // logarithms need care. Each lane by itself: its bits must not depend on its neighbours.
    const V largest = V::load(m), smallest = V::load(m + (n - 1) * W);
    const M needs_care = (smallest < V(0x1p-500)) | (V(0x1p500) < largest);
    if (any(needs_care)) {
      V with_care[kMetricCount];
      measure<0, true>(m, size, resolution, singular_values, with_care);
      for (std::size_t c = 0; c < kMetricCount; ++c) {
        table[c] = select(needs_care, with_care[c], table[c]);
      }
    }
  }

 private:
  static constexpr double kLn2 = 0.69314718055994530942;

  template <std::size_t N, bool careful>
  static EIGENCORE_INLINE void measure(const double* m, const Size& size, double resolution,
                                       bool singular_values, V* table) {
    const std::size_t n = N ? N : size.n;
    const V zero(0.0), one(1.0), nan(__builtin_nan(""));
    const V largest = V::load(m), smallest = V::load(m + (n - 1) * W);
    const M is_singular = (smallest <= V(resolution) * largest) | (smallest == zero);
    const M is_zero = largest == zero;
    const V divisor = select(is_zero, one, largest);
    // Relative to the largest, so that neither sums nor squares leave the range of double.
    const V scale = one / divisor;
    // Where the reciprocal is normal, as without care: scaling by a power of two changes nothing.
    const M has_reciprocal = (scale < V(0x1p1021)) & (V(0x1p-1021) < scale);
    const auto relative = [&](std::size_t i) {
      const V x = V::load(m + i * W), r = rounded(x * scale);
      return careful ? select(has_reciprocal, r, x / divisor) : r;
    };
    const auto log2_largest = log2<careful>(largest);
    V sum(0.0), squares(0.0), r_log2_r(0.0), log2_sum(0.0);
    NearestRatio<careful> nearest;
    for_each_below<N>(n, [&](std::size_t i) EIGENCORE_INLINE_LAMBDA {
      const V x = V::load(m + i * W), r = relative(i);
      const auto log2_x = log2<careful>(x);
      const V log2_r = (log2_x.whole - log2_largest.whole) + (log2_x.part - log2_largest.part);
      sum = sum + r;
      squares = r * r + squares;
      r_log2_r = r * log2_r + r_log2_r;
      log2_sum = log2_sum + log2_x.value();
      if (i > 0) nearest.add(V::load(m + (i - 1) * W), x);
    });
    const V inverse_sum = one / sum;
    const V entropy = max(zero, log2<careful>(sum).value() - rounded(r_log2_r * inverse_sum));
    _Pragma("GCC unroll 16") for (std::size_t c = 0; c < kMetricCount; ++c) table[c] = nan;
    table[kPhiProximity] = nearest.score();
    table[kLogAbsDet] = select(is_singular, V(-__builtin_inf()), log2_sum * V(kLn2));
    table[kSpectralEntropy] = entropy;
    table[kEffectiveRank] = exp2(entropy);
    table[kDominantRatio] = inverse_sum;
    table[kConditionNumber] = select(is_singular, V(__builtin_inf()), largest / smallest);
    table[kParticipationRatio] = sum * sum / squares;
    if (singular_values) table[kStableRank] = squares;
    if (n > 1) {
      const double rows = static_cast<double>(n);
      const V mean = sum * V(1.0 / rows);
      V deviation(0.0);
      for_each_below<N>(n, [&](std::size_t i) EIGENCORE_INLINE_LAMBDA {
        const V x = relative(i) - mean;
        deviation = x * x + deviation;
      });
      table[kNormalizedEntropy] = entropy * size.inverse_log2;
      // std / (mean sqrt(n - 1))
      table[kDegeneracy] = one - sqrt(deviation * V(rows / (rows - 1.0))) * inverse_sum;
      table[kSpectralGap] = one - relative(1);
    }
    if constexpr (careful) {
      for (std::size_t column = 0; column < kMetricCount; ++column) {
        const bool is_ratio = column != kPhiProximity && column != kLogAbsDet;
        if (is_ratio) table[column] = select(is_zero, nan, table[column]);
      }
    }
  }

  /// Of neighbouring magnitudes x >= y the ratio nearest to the golden one. Distances |x - phi y| /
  /// y are compared by products across, so that one division serves all; with care, by quotients.
  template <bool careful>
  struct NearestRatio {
    V distance{1.0}, smaller{0.0};  // infinitely far

    EIGENCORE_INLINE void add(const V& x, const V& y) {
      const V golden(kGoldenRatio);
      V d = abs(x - golden * y), unit = y;
      if constexpr (careful) {
        unit = V(1.0);
        d = abs(x / select(V(kPhiFloor) < y, y, unit) - golden);
      }
      const M nearer = (V(kPhiFloor) < y) & (d * smaller < distance * unit);
      distance = select(nearer, d, distance);
      smaller = select(nearer, unit, smaller);
    }
    EIGENCORE_INLINE V score() const {
      const M found = V(0.0) < smaller;
      const V relative = distance / (V(kGoldenRatio) * select(found, smaller, V(1.0)));
      return zero_unless(found, max(V(0.0), V(1.0) - relative));
    }
  };

  template <bool careful>
  static EIGENCORE_INLINE Log2<V> log2(const V& x) {
    if constexpr (careful) {
      const M tiny = x < V(Limits<double>::smallest_normal);
      const V lifted = select(tiny, x * V(0x1p54), x);
      const auto found = log2<false>(select(x == V(0.0), V(1.0), lifted));
      return {found.whole - zero_unless(tiny & ~(x == V(0.0)), V(54.0)), found.part};
    } else {
      V mantissa;
      const V exponent = exponent_around_one(x, mantissa);
      // log2 m = 2 atanh(s) / ln 2, s = (m - 1) / (m + 1), |s| < 0.1716; a Chebyshev fit of what
      // follows s, in s^2, within 4e-19 of it.
      const V s = (mantissa - V(1.0)) / (mantissa + V(1.0)), z = s * s;
      V p(0.21366122502798326);
      const double coefficients[] = {0.22091286734180157, 0.26233436060329546, 0.3205985347650481,
                                     0.4121985858422942,  0.577078016345514,   0.9617966939259898,
                                     2.8853900817779268};
      _Pragma("GCC unroll 16") for (const double c : coefficients) p = p * z + V(c);
      return {exponent, rounded(p * s)};
    }
  }

  /// For 0 <= x < 64, by a Chebyshev fit on the fraction, -1/2 ... 1/2, within 4e-18.
  static EIGENCORE_INLINE V exp2(const V& x) {
    V whole = x + V(0x1.8p52);
    whole = whole - V(0x1.8p52);
    const V r = x - whole;
    V p(4.4558179083360645e-10);
    const double coefficients[] = {7.074194297288521e-09,
                                   1.0178057087733941e-07,
                                   1.3215432535912375e-06,
                                   1.5252733841556773e-05,
                                   0.00015403530463724353,
                                   0.001333355814640647,
                                   0.009618129107587256,
                                   0.055504108664821625,
                                   0.24022650695910158,
                                   0.6931471805599453,
                                   1.0};
    _Pragma("GCC unroll 16") for (const double c : coefficients) p = p * r + V(c);
    return p * power_of_two(whole);
  }
};

/// Metrics of matrices whose eigenvalues are their diagonals, W at a time.
class DiagonalMetrics {
  using V = Lanes<double, 1>;
  static constexpr std::size_t W = V::width;

 public:
  static void run(const DiagonalSource& source, double* work, double* out, std::size_t out_stride,
                  Status* status) {
    if (source.scalar == Scalar::float32) {
      of_size<float>(source, work, out, out_stride, status);
    } else {
      of_size<double>(source, work, out, out_stride, status);
    }
  }

 private:
  /// Small sizes are compiled one by one: their magnitudes stay in registers.
  template <class Element>
  static void of_size(const DiagonalSource& source, double* work, double* out,
                      std::size_t out_stride, Status* status) {
    switch (source.n) {
#define EIGENCORE_SIZE(N) \
  case N:                 \
    return groups<Element, N>(source, work, out, out_stride, status)
      EIGENCORE_SIZE(2);
      EIGENCORE_SIZE(3);
      EIGENCORE_SIZE(4);
      EIGENCORE_SIZE(5);
      EIGENCORE_SIZE(6);
      EIGENCORE_SIZE(7);
      EIGENCORE_SIZE(8);
#undef EIGENCORE_SIZE
      default:
        return groups<Element, 0>(source, work, out, out_stride, status);
    }
  }

  template <class Element, std::size_t N>
  static void groups(const DiagonalSource& source, double* work, double* out,
                     std::size_t out_stride, Status* status) {
    const SpectrumMetricsOnLanes::Size size(source.n);
    for (std::size_t first = 0; first < source.count; first += W) {
      const std::size_t count = source.count - first < W ? source.count - first : W;
      V table[kMetricCount];
      const auto bad = group<Element, N>(source, size, first, count, work, table);
      for (std::size_t l = 0; l < count; ++l)
        status[first + l] = bad.bits[0][l] ? Status::non_finite : Status::ok;
      if (count == W) {
        _Pragma("GCC unroll 16") for (std::size_t c = 0; c < kMetricCount; ++c) {
          __builtin_memcpy(out + c * out_stride + first, table + c, sizeof(V));
        }
      } else {
        for (std::size_t c = 0; c < kMetricCount; ++c) {
          __builtin_memcpy(out + c * out_stride + first, table + c, count * sizeof(double));
        }
      }
    }
  }

  /// The metrics of matrices first ... first + count - 1, NaN for the lanes returned: those with
  /// NaN or infinity on the diagonal.
  template <class Element, std::size_t N>
  static EIGENCORE_INLINE Mask<double, 1> group(const DiagonalSource& source,
                                                const SpectrumMetricsOnLanes::Size& size,
                                                std::size_t first, std::size_t count, double* work,
                                                V* table) {
    const std::size_t n = N ? N : source.n;
    alignas(kLaneAlignment) double in_registers[(N ? N : 1) * W];
    double* const m = N ? in_registers : work;
    const std::byte* at[W];
    _Pragma("GCC unroll 16") for (std::size_t l = 0; l < W; ++l) {
      at[l] = source.data +
              static_cast<std::ptrdiff_t>(first + (l < count ? l : 0)) * source.batch_stride;
    }
    V not_finite(0.0);
    for_each_below<N>(n, [&](std::size_t i) EIGENCORE_INLINE_LAMBDA {
      V x;
      _Pragma("GCC unroll 16") for (std::size_t l = 0; l < W; ++l) {
        Element element;
        __builtin_memcpy(&element, at[l] + static_cast<std::ptrdiff_t>(i) * source.step,
                         sizeof element);
        x.v[0][l] = static_cast<double>(element);
      }
      not_finite = not_finite + (x - x);  // 0, or NaN for ever
      abs(x).store(m + i * W);
    });
    const auto bad = ~(not_finite == V(0.0));
    if (any(bad)) {
      for (std::size_t i = 0; i < n; ++i) store_where(bad, V(1.0), m + i * W);
    }
    SpectrumMetricsOnLanes::sort<N>(m, n);
    SpectrumMetricsOnLanes::run<N>(m, size, 0.0, false, table);
    if (any(bad)) {
      for (std::size_t c = 0; c < kMetricCount; ++c) {
        table[c] = select(bad, V(__builtin_nan("")), table[c]);
      }
    }
    return bad;
  }
};

}  // namespace eigencore::EIGENCORE_LEVEL
