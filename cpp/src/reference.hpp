#pragma once

// One matrix at a time through Eigen, or through LAPACK where it is at hand: the oracle for faster
// kernels and the fallback behind them.

#include "eigencore/kernels.hpp"

namespace eigencore::reference {

template <class Real>
const Kernels<Real>& kernels();

}  // namespace eigencore::reference
