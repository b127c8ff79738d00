#include "eigencore/kernels.hpp"
#include "registrations.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() =
      "The compiled core. Private: arguments arrive validated by eigencore.linalg and "
      "eigencore.metrics.";
  register_spectra(m);
  register_rows(m);
  register_running(m);
  m.def("active_arch", &eigencore::active_arch);
}
