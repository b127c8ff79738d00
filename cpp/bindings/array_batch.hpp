#pragma once

#include <pybind11/numpy.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "eigencore/batch.hpp"
#include "eigencore/status.hpp"

namespace eigencore::bindings {

namespace py = pybind11;

using StatusArray = py::array_t<std::uint8_t>;
using Lengths = std::optional<py::array_t<std::int64_t, py::array::c_style>>;

/// A view of `a` (count, n, n); the caller keeps `a` and `lengths` alive. Half types arrive as
/// uint16.
inline MatrixBatch batch_of(const py::array& a, Scalar scalar, const Lengths& lengths) {
  constexpr py::ssize_t item_sizes[] = {2, 2, 4, 8};
  if (a.ndim() != 3 || a.shape(1) != a.shape(2) || a.shape(1) < 1) {
    throw std::invalid_argument("expected an array of shape (count, n, n) with n >= 1");
  }
  if (a.itemsize() != item_sizes[static_cast<int>(scalar)]) {
    throw std::invalid_argument("the array's item size is not that of the scalar named");
  }
  if (lengths && (lengths->ndim() != 1 || lengths->shape(0) != a.shape(0))) {
    throw std::invalid_argument("expected lengths of shape (count,)");
  }
  for (py::ssize_t i = 0; lengths && i < lengths->shape(0); ++i) {
    if (lengths->at(i) < 1 || lengths->at(i) > a.shape(1))
      throw std::invalid_argument("expected lengths from 1 to n");
  }
  return {static_cast<const std::byte*>(a.data()),
          scalar,
          static_cast<std::size_t>(a.shape(0)),
          static_cast<std::size_t>(a.shape(1)),
          a.strides(0),
          a.strides(1),
          a.strides(2),
          lengths ? lengths->data() : nullptr};
}

inline Status* statuses(StatusArray& array) {
  return reinterpret_cast<Status*>(array.mutable_data());
}

}  // namespace eigencore::bindings
