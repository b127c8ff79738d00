#pragma once

// What one instruction-set level offers: W matrices at a time, W depending on level, type and n.
// The seam between the ISA files (kernels_arch.cpp) and everything compiled for any machine.

#include <cstddef>
#include <cstdint>

#include "eigencore/batch.hpp"
#include "eigencore/status.hpp"

namespace eigencore {

/// What was found of one lane; bits of a byte.
enum LaneFact : std::uint8_t {
  kLaneNonFinite = 1,     ///< it holds NaN or infinity; its results are those of the identity
  kLaneHasZeros = 2,      ///< some entry off the diagonal is zero: it may be reducible
  kLaneUnbalanced = 4,    ///< norms of a row and its column differ beyond what lanes balance
  kLaneNotConverged = 8,  ///< the iteration hit its cap
};

/// Up to W matrices whose rows are contiguous.
struct LaneSource {
  const std::byte* const* matrices;
  std::size_t count;  ///< lanes beyond it repeat the first matrix
  std::size_t n;
  std::ptrdiff_t row_stride;  ///< in bytes
  Scalar scalar;
};

/// Largest n that lanes solve. Above, a group would not fit the second-level cache, and one matrix
/// at a time is as fast.
inline constexpr std::size_t kLargestLaneSize = 256;
/// Alignment of every array below.
inline constexpr std::size_t kLaneAlignment = 64;

template <class Real>
struct LaneKernels {
  /// W of a group of `count` matrices of size n; a group has at most width(n, any number) of them.
  std::size_t (*width)(Spectrum, std::size_t n, std::size_t count);
  /// Number of Real that `work` holds, for a group of any count.
  std::size_t (*workspace)(Spectrum, std::size_t n);
  /// re, im, magnitudes: (n, W), by magnitude downwards, then by real and imaginary part. facts:
  /// (W,).
  void (*eigen)(const LaneSource&, Real* re, Real* im, Real* magnitudes, std::uint8_t* facts,
                Real* work);
  /// sigma: (n, W), downwards.
  void (*singular)(const LaneSource&, Real* sigma, std::uint8_t* facts, Real* work);
};

/// Matrices of one size that lie at equal distances, and of which only the diagonals are read.
struct DiagonalSource {
  const std::byte* data;
  std::size_t count, n;
  std::ptrdiff_t batch_stride, step;  ///< in bytes; step: along a diagonal
  Scalar scalar;                      ///< float32 or float64
};

/// Metrics of spectra, in double whatever they were computed in.
struct LaneMetrics {
  /// Spectra that are measured together.
  std::size_t (*width)();
  /// magnitudes: (n, width), downwards, finite. out: (kMetricCount, width), as spectrum_metrics.
  void (*metrics)(const double* magnitudes, std::size_t n, double resolution, Spectrum spectrum,
                  double* out);
  /// work: (n, width). out: (kMetricCount, count) with rows `out_stride` apart, NaN where status is
  /// not ok.
  void (*of_diagonals)(const DiagonalSource&, double* work, double* out, std::size_t out_stride,
                       Status*);
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
