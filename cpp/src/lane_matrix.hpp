#pragma once

// W matrices in memory, side by side, and the reflectors that take them apart.

#include "lanes.hpp"

namespace eigencore::EIGENCORE_LEVEL {

/// The matrices, interleaved: entry (i, j) of lane l at data[(i * stride + j) * W + l].
/// An odd stride keeps columns out of one another's cache sets.
template <class T, std::size_t K>
struct LaneMatrix {
  using V = Lanes<T, K>;
  T* data;
  std::size_t stride;

  EIGENCORE_INLINE T* at(std::size_t i, std::size_t j) const {
    return data + (i * stride + j) * V::width;
  }
  EIGENCORE_INLINE V get(std::size_t i, std::size_t j) const { return V::load(at(i, j)); }
  EIGENCORE_INLINE void set(std::size_t i, std::size_t j, const V& x) const { x.store(at(i, j)); }
};

/// The reflector I - tau v v^T with v = (1, x / (x0 - beta)) that takes (x0, x) to (beta, 0).
template <class V>
struct Reflector {
  V beta, inverse, tau;
};

/// tail: |x|^2. Where it is negligible the reflector is the identity.
template <class T, std::size_t K>
EIGENCORE_INLINE Reflector<Lanes<T, K>> reflector(const Lanes<T, K>& x0, const Lanes<T, K>& tail) {
  using V = Lanes<T, K>;
  const auto acts = V(Limits<T>::negligible * Limits<T>::negligible) < tail;
  const V beta = copysign(sqrt(x0 * x0 + tail), -x0);
  const V v0 = x0 - beta;
  const V common = V(T(1)) / (v0 * beta);
  return {select(acts, beta, x0), zero_unless(acts, beta * common),
          zero_unless(acts, -v0 * (v0 * common))};
}

}  // namespace eigencore::EIGENCORE_LEVEL
