#include "eigencore/kernels.hpp"
#include "reference.hpp"

namespace eigencore {

template <class Real>
const Kernels<Real>& kernels() {
  return reference::kernels<Real>();
}

template const Kernels<float>& kernels<float>();
template const Kernels<double>& kernels<double>();

const char* active_arch() { return "portable"; }

}  // namespace eigencore
