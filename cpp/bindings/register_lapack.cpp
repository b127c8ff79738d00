#include <dlfcn.h>
#include <pybind11/pybind11.h>

#include "../src/lapack.hpp"
#include "registrations.hpp"
#include "scipy_lapack.hpp"

namespace py = pybind11;

namespace eigencore::bindings {

namespace {

LapackRoutines of_scipy;
bool looked_for = false, is_allowed = true;

/// The address that a capsule of Cython's C interface holds; its name is the routine's signature.
template <class Routine>
Routine routine(const py::dict& interface, const char* name) {
  const py::object capsule = interface[name];
  void* address = PyCapsule_GetPointer(capsule.ptr(), PyCapsule_GetName(capsule.ptr()));
  if (!address) throw py::error_already_set();
  return reinterpret_cast<Routine>(address);
}

/// The function by which OpenBLAS, which the library of `address` has loaded, sets its threads;
/// null for another BLAS.
int (*openblas_set_num_threads(void* address))(int) {
  Dl_info library;
  if (!dladdr(address, &library)) return nullptr;
  void* const handle = dlopen(library.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (!handle) return nullptr;
  void* const symbol = dlsym(handle, "openblas_set_num_threads_local");
  dlclose(handle);
  return reinterpret_cast<int (*)(int)>(symbol);
}

void look_for_scipy() {
  looked_for = true;
  try {
    const py::dict interface =
        py::module_::import("scipy.linalg.cython_lapack").attr("__pyx_capi__");
    of_scipy = {routine<LapackRoutines::Geev>(interface, "dgeev"),
                routine<LapackRoutines::Geev>(interface, "sgeev"),
                routine<LapackRoutines::Gesdd>(interface, "dgesdd"),
                routine<LapackRoutines::Gesdd>(interface, "sgesdd")};
    of_scipy.set_num_threads = openblas_set_num_threads(reinterpret_cast<void*>(of_scipy.dgeev));
  } catch (py::error_already_set& error) {
    // A scipy that is missing or built otherwise costs speed, no result: Eigen serves.
    if (!error.matches(PyExc_Exception)) throw;
  }
}

}  // namespace

void provide_lapack(std::size_t n) {
  if (n < kLapackFrom || looked_for) return;
  look_for_scipy();
  if (is_allowed) use_lapack(of_scipy);
}

void allow_lapack(bool allowed) {
  is_allowed = allowed;
  provide_lapack(kLapackFrom);
  use_lapack(allowed ? of_scipy : LapackRoutines{});
}

WithoutLapack::WithoutLapack() { use_lapack({}); }
WithoutLapack::~WithoutLapack() {
  if (is_allowed) use_lapack(of_scipy);
}

}  // namespace eigencore::bindings

void register_lapack(py::module_& m) {
  m.def("allow_lapack", &eigencore::bindings::allow_lapack, py::arg("allowed"));
  m.def("has_lapack", &eigencore::has_lapack);
}
