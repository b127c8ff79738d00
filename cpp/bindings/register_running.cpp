#include "../src/running_spectrum.hpp"
#include "../src/spectrum_metrics.hpp"
#include "array_batch.hpp"
#include "registrations.hpp"

namespace eigencore::bindings {

namespace {

using LogMagnitudes = py::array_t<double, py::array::c_style>;

py::array_t<double> append(RunningSpectra& spectra, const LogMagnitudes& log_magnitudes) {
  if (log_magnitudes.ndim() != 1 ||
      static_cast<std::size_t>(log_magnitudes.shape(0)) != spectra.count()) {
    throw std::invalid_argument("expected one logarithm per series, " +
                                std::to_string(spectra.count()) + " in all");
  }
  py::array_t<double> table({spectra.count(), static_cast<std::size_t>(kMetricCount)});
  const double* const in = log_magnitudes.data();
  double* const out = table.mutable_data();
  {
    const py::gil_scoped_release release;
    spectra.append(in, out);
  }
  return table;
}

}  // namespace

}  // namespace eigencore::bindings

void register_running(pybind11::module_& m) {
  namespace py = pybind11;
  using eigencore::RunningSpectra;
  py::class_<RunningSpectra>(m, "RunningSpectra")
      .def(py::init<std::size_t>(), py::arg("count"))
      .def("append", &eigencore::bindings::append, py::arg("log_magnitudes").noconvert())
      .def_property_readonly("count", &RunningSpectra::count)
      .def_property_readonly("length", &RunningSpectra::length);
}
