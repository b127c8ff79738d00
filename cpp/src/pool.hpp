#pragma once

#include <cstddef>
#include <functional>

namespace eigencore {

/// Calls body(begin, end) on ranges that together cover 0 ... count - 1, on up to num_threads()
/// threads that persist between calls, the caller among them. Work of less than half a millisecond
/// by `ns_each`, and work that comes while the pool is busy, stays on the calling thread. An
/// exception of a body is thrown here, once all bodies have returned.
void parallel_for(std::size_t count, double ns_each,
                  const std::function<void(std::size_t, std::size_t)>& body);

/// At first EIGENCORE_NUM_THREADS, or as many as this process may run on.
std::size_t num_threads();
void set_num_threads(std::size_t count);

}  // namespace eigencore
