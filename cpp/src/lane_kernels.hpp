#pragma once

// What one instruction-set level offers: W matrices at a time, W depending on level, type and n.
// The seam between the ISA files (kernels_arch.cpp) and everything compiled for any machine.

#include <cstddef>
#include <cstdint>

#include "eigencore/batch.hpp"

namespace eigencore {

/// What was found of one lane; bits of a byte.
enum LaneFact : std::uint8_t {
  kLaneNonFinite = 1,     ///< it holds NaN or infinity; its results are those of the identity
  kLaneHasZeros = 2,      ///< some entry off the diagonal is zero: it may be reducible
  kLaneUnbalanced = 4,    ///< norms of a row and its column differ beyond what lanes balance
  kLaneNotConverged = 8,  ///< the iteration hit its cap
};

/// Up to W matrices whose rows are contiguous float32 or float64.
struct LaneSource {
  const std::byte* const* matrices;
  std::size_t count;  ///< lanes beyond it repeat the first matrix
  std::size_t n;
  std::ptrdiff_t row_stride;  ///< in bytes
  Scalar scalar;              ///< float32 or float64
};

/// Largest n that lanes solve. Above, a group would not fit the second-level cache, and one matrix
/// at a time is as fast.
inline constexpr std::size_t kLargestLaneSize = 256;
/// Alignment of every array below.
inline constexpr std::size_t kLaneAlignment = 64;

template <class Real>
struct LaneKernels {
  /// W of a group of `count` matrices of size n; a group has at most width(n, any number) of them.
  std::size_t (*width)(std::size_t n, std::size_t count);
  /// Number of Real that `work` holds, for a group of any count.
  std::size_t (*workspace)(std::size_t n);
  /// re, im, magnitudes: (n, W), by magnitude downwards, then by real and imaginary part. facts:
  /// (W,).
  void (*eigen)(const LaneSource&, Real* re, Real* im, Real* magnitudes, std::uint8_t* facts,
                Real* work);
  /// sigma: (n + 1, W), n values downwards.
  void (*singular)(const LaneSource&, Real* sigma, std::uint8_t* facts, Real* work);
};

/// Metrics of spectra, in double whatever they were computed in.
struct LaneMetrics {
  /// Spectra that are measured together.
  std::size_t (*width)();
  /// Sorts magnitudes (n, width), downwards.
  void (*sort)(double* magnitudes, std::size_t n);
  /// magnitudes: (n, width), downwards, finite. out: (width, kMetricCount), as spectrum_metrics.
  void (*metrics)(const double* magnitudes, std::size_t n, double resolution, Spectrum spectrum,
                  double* out);
};

struct Level {
  const char* name;
  LaneKernels<double> f64;
  LaneKernels<float> f32;
  LaneMetrics metrics;
};

/// The level in force: the best that this machine runs, or the one that EIGENCORE_ARCH names.
const Level& active_level();

}  // namespace eigencore
