#include "plan.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lane_kernels.hpp"
#include "lapack.hpp"
#include "matrix_load.hpp"
#include "structure.hpp"

namespace eigencore {

/// One matrix of a batch, as a batch of its own.
MatrixBatch only(const MatrixBatch& batch, std::size_t matrix) {
  MatrixBatch one = batch;
  one.data += static_cast<std::ptrdiff_t>(matrix) * batch.batch_stride;
  one.count = 1;
  if (one.lengths) one.lengths += matrix;
  return one;
}

namespace {

enum class Half { upper, lower };

/// Whether holds(x) for every entry above (below) the diagonal, read where it lies.
template <Half half, class Holds>
bool all_of_half(const MatrixBatch& batch, std::size_t matrix, const Holds& holds) {
  const std::size_t length = batch.length(matrix);
  const std::byte* base = only(batch, matrix).data;
  return visit_scalar(batch.scalar, [&](auto element) {
    for (std::size_t i = 0; i < length; ++i) {
      const std::byte* row = base + static_cast<std::ptrdiff_t>(i) * batch.row_stride;
      const std::size_t begin = half == Half::upper ? i + 1 : 0;
      const std::size_t end = half == Half::upper ? length : i;
      for (std::size_t j = begin; j < end; ++j) {
        const std::byte* at = row + static_cast<std::ptrdiff_t>(j) * batch.col_stride;
        if (!holds(read<decltype(element)>(at))) return false;
      }
    }
    return true;
  });
}

/// Whether one half is exactly zero. The other is screened: NaN in it spoils the matrix, though its
/// eigenvalues stand on the diagonal.
bool is_triangular(const MatrixBatch& batch, std::size_t matrix) {
  const auto is_zero = [](auto x) { return x == 0; };
  const auto is_finite = [](auto x) { return std::isfinite(x); };
  if (all_of_half<Half::upper>(batch, matrix, is_zero)) {
    return all_of_half<Half::lower>(batch, matrix, is_finite);
  }
  return all_of_half<Half::lower>(batch, matrix, is_zero) &&
         all_of_half<Half::upper>(batch, matrix, is_finite);
}

}  // namespace

bool is_reducible(const MatrixBatch& batch, std::size_t matrix) {
  const std::size_t length = batch.length(matrix);
  std::vector<double> a(length * length);
  load_matrix(batch, matrix, a.data());
  return irreducible_blocks(a.data(), length).size() > 1;
}

std::size_t few_for_lanes(Spectrum spectrum, std::size_t n, std::size_t lanes) {
  if (n < kLapackFrom || !has_lapack()) return 0;
  // In eighths of a group's lanes, as benchmarks/few_matrices.py prints them: float64, one thread,
  // on an AMD EPYC of family 25 with scipy's OpenBLAS.
  std::size_t eighths;
  if (spectrum == Spectrum::eigen) {
    eighths = n < 64 ? 0 : n < 224 ? 1 : 2;
  } else {
    eighths = n < 40 ? 0 : n < 128 ? 1 : n < 192 ? 2 : 3;
  }
  return lanes * eighths / 8;
}

Plan plan(const MatrixBatch& batch, Spectrum spectrum, Structure structure) {
  Plan plan;
  if (spectrum == Spectrum::eigen && structure == Structure::causal && !batch.lengths) {
    plan.diagonal.resize(batch.count);
    std::iota(plan.diagonal.begin(), plan.diagonal.end(), std::size_t{0});
    return plan;
  }
  for (std::size_t matrix = 0; matrix < batch.count; ++matrix) {
    const std::size_t n = batch.length(matrix);
    const bool causal = structure == Structure::causal;
    const bool by_diagonal =
        spectrum == Spectrum::eigen &&
        (causal || n == 1 || (structure == Structure::automatic && is_triangular(batch, matrix)));
    if (by_diagonal) {
      plan.diagonal.push_back(matrix);
    } else if (n <= kLargestLaneSize) {
      plan.lanes.push_back(matrix);
    } else {
      plan.single.push_back(matrix);
    }
  }
  if (batch.lengths) {
    const auto shorter = [&](std::size_t x, std::size_t y) {
      return batch.length(x) < batch.length(y);
    };
    std::stable_sort(plan.diagonal.begin(), plan.diagonal.end(), shorter);
    std::stable_sort(plan.lanes.begin(), plan.lanes.end(), shorter);
  }
  return plan;
}

}  // namespace eigencore
