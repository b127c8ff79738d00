#include "registrations.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() =
      "The compiled core. Private: arguments arrive validated by eigencore.linalg and "
      "eigencore.metrics.";
  register_machine(m);
  register_lapack(m);
  register_spectra(m);
  register_rows(m);
  register_running(m);
}
