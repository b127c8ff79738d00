#pragma once

// One matrix at a time through Eigen: the oracle for faster kernels and the fallback behind them.

#include <complex>
#include <cstddef>
#include <vector>

#include "eigencore/batch.hpp"
#include "eigencore/kernels.hpp"

namespace eigencore::reference {

/// The spectrum of one matrix, descending by magnitude.
template <class Value>
struct Solved {
  std::vector<Value> values;
  Status status = Status::ok;
  /// Read off a diagonal: no rounding stands between the input and these values.
  bool exact = false;
};

template <class Real>
Solved<std::complex<Real>> eigenvalues(const MatrixBatch& batch, std::size_t matrix,
                                       Structure structure);

template <class Real>
Solved<Real> singular_values(const MatrixBatch& batch, std::size_t matrix);

template <class Real>
const Kernels<Real>& kernels();

}  // namespace eigencore::reference
