#pragma once

#include <complex>
#include <cstddef>
#include <vector>

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
  /// out: (kMetricCount, count) in the order of kMetricNames; NaN where status is not ok.
  void (*metrics)(const MatrixBatch&, Spectrum, Structure, double* out, Status*);
};

/// The table in force, chosen once at load.
template <class Real>
const Kernels<Real>& kernels();

/// The instruction-set level in force: the best that this machine runs, or the one that
/// EIGENCORE_ARCH names. Throws std::invalid_argument where that is none.
const char* active_arch();

/// Puts another level in force, for tests and benchmarks; throws as active_arch.
void use_arch(const char* name);

/// The levels that this machine runs, slowest first.
std::vector<const char*> available_arches();

}  // namespace eigencore
