#include <pybind11/complex.h>
#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include "../src/spectrum_metrics.hpp"
#include "array_batch.hpp"
#include "eigencore/kernels.hpp"
#include "registrations.hpp"

namespace eigencore::bindings {

namespace {

template <class Real>
py::tuple eigvals(const py::array& a, Scalar scalar, Structure structure) {
  const MatrixBatch batch = batch_of(a, scalar, std::nullopt);
  py::array_t<std::complex<Real>> values({batch.count, batch.n});
  StatusArray status(static_cast<py::ssize_t>(batch.count));
  auto* const out = values.mutable_data();
  auto* const codes = statuses(status);
  {
    const py::gil_scoped_release release;
    kernels<Real>().eigvals(batch, structure, out, codes);
  }
  return py::make_tuple(values, status);
}

template <class Real>
py::tuple svdvals(const py::array& a, Scalar scalar) {
  const MatrixBatch batch = batch_of(a, scalar, std::nullopt);
  py::array_t<Real> values({batch.count, batch.n});
  StatusArray status(static_cast<py::ssize_t>(batch.count));
  auto* const out = values.mutable_data();
  auto* const codes = statuses(status);
  {
    const py::gil_scoped_release release;
    kernels<Real>().svdvals(batch, out, codes);
  }
  return py::make_tuple(values, status);
}

template <class Real>
py::tuple metrics(const py::array& a, Scalar scalar, Spectrum spectrum, Structure structure,
                  const Lengths& lengths) {
  const MatrixBatch batch = batch_of(a, scalar, lengths);
  py::array_t<double> table({batch.count, static_cast<std::size_t>(kMetricCount)});
  StatusArray status(static_cast<py::ssize_t>(batch.count));
  auto* const out = table.mutable_data();
  auto* const codes = statuses(status);
  {
    const py::gil_scoped_release release;
    kernels<Real>().metrics(batch, spectrum, structure, out, codes);
  }
  return py::make_tuple(table, status);
}

}  // namespace

}  // namespace eigencore::bindings

void register_spectra(pybind11::module_& m) {
  namespace py = pybind11;
  using namespace eigencore;

  py::native_enum<Scalar>(m, "Scalar", "enum.Enum")
      .value("float16", Scalar::float16)
      .value("bfloat16", Scalar::bfloat16)
      .value("float32", Scalar::float32)
      .value("float64", Scalar::float64)
      .finalize();
  py::native_enum<Structure>(m, "Structure", "enum.Enum")
      .value("auto", Structure::automatic)
      .value("causal", Structure::causal)
      .value("dense", Structure::dense)
      .finalize();
  py::native_enum<Spectrum>(m, "Spectrum", "enum.Enum")
      .value("eigen", Spectrum::eigen)
      .value("singular", Spectrum::singular)
      .finalize();
  m.attr("METRIC_NAMES") = py::tuple(py::cast(kMetricNames));

  const auto a = py::arg("a").noconvert();
  m.def("eigvals_f64", &bindings::eigvals<double>, a, py::arg("scalar"), py::arg("structure"));
  m.def("eigvals_f32", &bindings::eigvals<float>, a, py::arg("scalar"), py::arg("structure"));
  m.def("svdvals_f64", &bindings::svdvals<double>, a, py::arg("scalar"));
  m.def("svdvals_f32", &bindings::svdvals<float>, a, py::arg("scalar"));
  m.def("metrics_f64", &bindings::metrics<double>, a, py::arg("scalar"), py::arg("spectrum"),
        py::arg("structure"), py::arg("lengths"));
  m.def("metrics_f32", &bindings::metrics<float>, a, py::arg("scalar"), py::arg("spectrum"),
        py::arg("structure"), py::arg("lengths"));
}
