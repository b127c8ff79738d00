#include <pybind11/complex.h>
#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include "../src/reference.hpp"
#include "../src/spectrum_metrics.hpp"
#include "array_batch.hpp"
#include "eigencore/kernels.hpp"
#include "registrations.hpp"
#include "scipy_lapack.hpp"

namespace eigencore::bindings {

namespace {

template <class Real>
py::tuple solve_eigvals(const Kernels<Real>& kernels, const MatrixBatch& batch,
                        Structure structure) {
  py::array_t<std::complex<Real>> values({batch.count, batch.n});
  StatusArray status(static_cast<py::ssize_t>(batch.count));
  auto* const out = values.mutable_data();
  auto* const codes = statuses(status);
  {
    const py::gil_scoped_release release;
    kernels.eigvals(batch, structure, out, codes);
  }
  return py::make_tuple(values, status);
}

template <class Real>
py::tuple solve_svdvals(const Kernels<Real>& kernels, const MatrixBatch& batch) {
  py::array_t<Real> values({batch.count, batch.n});
  StatusArray status(static_cast<py::ssize_t>(batch.count));
  auto* const out = values.mutable_data();
  auto* const codes = statuses(status);
  {
    const py::gil_scoped_release release;
    kernels.svdvals(batch, out, codes);
  }
  return py::make_tuple(values, status);
}

template <class Real>
py::tuple eigvals(const py::array& a, Scalar scalar, Structure structure) {
  const MatrixBatch batch = batch_of(a, scalar, std::nullopt);
  if (structure != Structure::causal) provide_lapack(batch.n);
  return solve_eigvals(kernels<Real>(), batch, structure);
}

template <class Real>
py::tuple svdvals(const py::array& a, Scalar scalar) {
  const MatrixBatch batch = batch_of(a, scalar, std::nullopt);
  provide_lapack(batch.n);
  return solve_svdvals(kernels<Real>(), batch);
}

/// One matrix after another, by Eigen: what faster kernels are held against.
template <class Real>
py::tuple reference_eigvals(const py::array& a, Scalar scalar, Structure structure) {
  const WithoutLapack eigen_alone;
  return solve_eigvals(reference::kernels<Real>(), batch_of(a, scalar, std::nullopt), structure);
}
template <class Real>
py::tuple reference_svdvals(const py::array& a, Scalar scalar) {
  const WithoutLapack eigen_alone;
  return solve_svdvals(reference::kernels<Real>(), batch_of(a, scalar, std::nullopt));
}

template <class Real>
py::tuple metrics(const py::array& a, Scalar scalar, Spectrum spectrum, Structure structure,
                  const Lengths& lengths) {
  const MatrixBatch batch = batch_of(a, scalar, lengths);
  if (spectrum == Spectrum::singular || structure != Structure::causal) provide_lapack(batch.n);
  py::array_t<double> table({static_cast<std::size_t>(kMetricCount), batch.count});
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
  m.def("reference_eigvals_f64", &bindings::reference_eigvals<double>, a, py::arg("scalar"),
        py::arg("structure"));
  m.def("reference_eigvals_f32", &bindings::reference_eigvals<float>, a, py::arg("scalar"),
        py::arg("structure"));
  m.def("reference_svdvals_f64", &bindings::reference_svdvals<double>, a, py::arg("scalar"));
  m.def("reference_svdvals_f32", &bindings::reference_svdvals<float>, a, py::arg("scalar"));
}
