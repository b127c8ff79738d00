#pragma once

#include <cstdint>

namespace eigencore {

/// What became of one matrix. Anything but `ok` comes with NaN in that matrix's results and in no
/// other's.
enum class Status : std::uint8_t {
  ok = 0,
  non_finite = 1,     ///< what was read holds NaN or infinity, or its spectrum overflows
  not_converged = 2,  ///< the iteration hit its cap
};

}  // namespace eigencore
