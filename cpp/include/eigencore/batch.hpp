#pragma once

#include <cstddef>
#include <cstdint>

namespace eigencore {

enum class Scalar : std::uint8_t { float16, bfloat16, float32, float64 };

/// What the caller knows of the matrices.
enum class Structure : std::uint8_t {
  automatic,  ///< find triangular and block-triangular structure, exactly
  causal,     ///< lower triangular on the caller's word: nothing above the diagonal is read, and
              ///< for eigenvalues the diagonal alone
  dense,      ///< not triangular on the caller's word; irreducible blocks are still taken apart
};

enum class Spectrum : std::uint8_t { eigen, singular };

/// `count` square matrices of size `n` in any layout; strides are in bytes and may be negative or
/// zero.
struct MatrixBatch {
  const std::byte* data;
  Scalar scalar;
  std::size_t count;
  std::size_t n;
  std::ptrdiff_t batch_stride;
  std::ptrdiff_t row_stride;
  std::ptrdiff_t col_stride;
  /// Per matrix, the size of its valid leading block (1 … n); null: all of it.
  const std::int64_t* lengths;

  std::size_t length(std::size_t matrix) const {
    return lengths ? static_cast<std::size_t>(lengths[matrix]) : n;
  }
};

}  // namespace eigencore
