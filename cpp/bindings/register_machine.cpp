#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>

#include "../src/pool.hpp"
#include "eigencore/kernels.hpp"
#include "registrations.hpp"

void register_machine(pybind11::module_& m) {
  namespace py = pybind11;
  try {
    eigencore::active_arch();
  } catch (const std::invalid_argument& error) {
    throw py::import_error(std::string("EIGENCORE_ARCH: ") + error.what());
  }
  m.def("active_arch", &eigencore::active_arch);
  m.def("use_arch", &eigencore::use_arch, py::arg("name"));
  m.def("available_arches", &eigencore::available_arches);
  m.def("get_num_threads", &eigencore::num_threads);
  m.def("set_num_threads", &eigencore::set_num_threads, py::arg("count"));
}
