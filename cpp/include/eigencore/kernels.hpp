#pragma once

#include <complex>
#include <cstddef>

#include "eigencore/batch.hpp"
#include "eigencore/status.hpp"

namespace eigencore {

/// The kernels that compute in `Real` (float or double), whatever the batch is stored in.
/// None of them throws on account of the numbers in a batch; a bad matrix gets NaN and a status.
template <class Real>
struct Kernels {
  /// values: (count, n), by magnitude downwards; NaN beyond a matrix's length and where status is
  /// not ok.
  void (*eigvals)(const MatrixBatch&, Structure, std::complex<Real>* values, Status*);
  /// values: (count, n), downwards; NaN likewise.
  void (*svdvals)(const MatrixBatch&, Real* values, Status*);
  /// out: (count, kMetricCount) in the order of kMetricNames; NaN where status is not ok.
  void (*metrics)(const MatrixBatch&, Spectrum, Structure, double* out, Status*);
};

/// The table in force, chosen once at load.
template <class Real>
const Kernels<Real>& kernels();

/// The instruction-set level that `kernels` was compiled for.
const char* active_arch();

}  // namespace eigencore
