#include <pybind11/stl.h>

#include "../src/row_metrics.hpp"
#include "array_batch.hpp"
#include "registrations.hpp"

namespace eigencore::bindings {

namespace {

py::tuple rows(const py::array& a, Scalar scalar) {
  const MatrixBatch batch = batch_of(a, scalar, std::nullopt);
  py::array_t<double> table({static_cast<std::size_t>(kRowMetricCount), batch.count, batch.n});
  StatusArray status(static_cast<py::ssize_t>(batch.count));
  auto* const out = table.mutable_data();
  auto* const codes = statuses(status);
  {
    const py::gil_scoped_release release;
    row_metrics(batch, out, codes);
  }
  return py::make_tuple(table, status);
}

}  // namespace

}  // namespace eigencore::bindings

void register_rows(pybind11::module_& m) {
  namespace py = pybind11;
  m.attr("ROW_METRIC_NAMES") = py::tuple(py::cast(eigencore::kRowMetricNames));
  m.def("row_metrics", &eigencore::bindings::rows, py::arg("a").noconvert(), py::arg("scalar"));
}
