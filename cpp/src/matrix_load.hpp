#pragma once

// Reading matrices of any element type and layout into contiguous row-major storage.

#include <bit>
#include <cmath>
#include <cstring>

#include "eigencore/batch.hpp"

namespace eigencore {

struct Half {
  std::uint16_t bits;
};
struct BrainHalf {
  std::uint16_t bits;
};

inline float widen(float x) { return x; }
inline double widen(double x) { return x; }
inline float widen(BrainHalf x) { return std::bit_cast<float>(std::uint32_t{x.bits} << 16); }
inline float widen(Half x) {
  const std::uint32_t sign = std::uint32_t{x.bits & 0x8000u} << 16;
  const std::uint32_t magnitude = x.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude << 13));
  if (magnitude < 0x0400u) {
    const float subnormal = std::ldexp(static_cast<float>(magnitude), -24);
    return sign ? -subnormal : subnormal;
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + (112u << 23)));
}

template <class Element>
auto read(const std::byte* at) {
  Element x;
  std::memcpy(&x, at, sizeof x);
  return widen(x);
}

/// Calls visit(Element{}) with the element type that the batch is stored in.
template <class Visitor>
decltype(auto) visit_scalar(Scalar scalar, Visitor&& visit) {
  switch (scalar) {
    case Scalar::float16:
      return visit(Half{});
    case Scalar::bfloat16:
      return visit(BrainHalf{});
    case Scalar::float32:
      return visit(float{});
    case Scalar::float64:
      break;
  }
  return visit(double{});
}

/// Copies the leading length x length block to `out`, exactly; false if it holds NaN or infinity.
/// With `lower_only`, what stands above the diagonal is not read and counts as zero.
inline bool load_matrix(const MatrixBatch& batch, std::size_t matrix, double* out,
                        bool lower_only = false) {
  const std::size_t length = batch.length(matrix);
  const std::byte* base = batch.data + static_cast<std::ptrdiff_t>(matrix) * batch.batch_stride;
  return visit_scalar(batch.scalar, [&](auto element) {
    bool finite = true;
    for (std::size_t i = 0; i < length; ++i) {
      const std::byte* row = base + static_cast<std::ptrdiff_t>(i) * batch.row_stride;
      const std::size_t width = lower_only ? i + 1 : length;
      for (std::size_t j = 0; j < width; ++j) {
        const auto x =
            read<decltype(element)>(row + static_cast<std::ptrdiff_t>(j) * batch.col_stride);
        finite &= std::isfinite(x);
        out[i * length + j] = static_cast<double>(x);
      }
      for (std::size_t j = width; j < length; ++j) out[i * length + j] = 0;
    }
    return finite;
  });
}

/// As load_matrix, for the diagonal alone.
inline bool load_diagonal(const MatrixBatch& batch, std::size_t matrix, double* out) {
  const std::size_t length = batch.length(matrix);
  const std::byte* base = batch.data + static_cast<std::ptrdiff_t>(matrix) * batch.batch_stride;
  return visit_scalar(batch.scalar, [&](auto element) {
    bool finite = true;
    for (std::size_t i = 0; i < length; ++i) {
      const std::ptrdiff_t step =
          static_cast<std::ptrdiff_t>(i) * (batch.row_stride + batch.col_stride);
      const auto x = read<decltype(element)>(base + step);
      finite &= std::isfinite(x);
      out[i] = static_cast<double>(x);
    }
    return finite;
  });
}

}  // namespace eigencore
