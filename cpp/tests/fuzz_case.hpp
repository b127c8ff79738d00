#pragma once

// Batches of matrices made of arbitrary bytes: every layout, element type and kind of value that a
// caller may hand in, and some that only an adversary would.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "eigencore/batch.hpp"

namespace eigencore::fuzz {

/// What a fuzzer gives, read from the front; zeros when it is used up.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}

  std::uint8_t byte();
  std::uint64_t word();
  /// 0 ... count - 1.
  std::size_t below(std::size_t count) { return count ? byte() % count : 0; }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

/// A batch in a heap block that ends where its last element does, so that AddressSanitizer sees
/// every read beyond it, and the choices that a caller has.
class Case {
 public:
  explicit Case(Bytes bytes);

  const MatrixBatch& batch() const { return batch_; }
  std::size_t length(std::size_t matrix) const { return batch_.length(matrix); }
  /// An element as it is stored, widened by other code than the core's.
  double entry(std::size_t matrix, std::size_t row, std::size_t column) const;
  /// Says on stderr what the batch is, and a matrix of it if that is small.
  void describe(std::size_t matrix) const;

  Structure structure;
  Spectrum spectrum;
  bool in_float;      ///< computed in float, else in double
  const char* level;  ///< of instruction sets
  std::size_t threads;

 private:
  MatrixBatch batch_{};
  std::vector<std::int64_t> lengths_;
  std::unique_ptr<std::byte[]> block_;
  std::size_t item_ = 0;

  void choose_size(Bytes& bytes);
  void choose_strides(Bytes& bytes);
  void allocate(std::size_t misalignment);
  void fill(Bytes& bytes);
  void spoil(Bytes& bytes);

  std::byte* at(std::size_t matrix, std::size_t row, std::size_t column) const;
  void set(std::size_t matrix, std::size_t row, std::size_t column, double x) const;
};

}  // namespace eigencore::fuzz
