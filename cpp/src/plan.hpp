#pragma once

// Where each matrix of a batch goes: to its diagonal, to the lanes, or to the reference.

#include <cstddef>
#include <vector>

#include "eigencore/batch.hpp"

namespace eigencore {

/// One matrix of a batch, as a batch of its own.
MatrixBatch only(const MatrixBatch& batch, std::size_t matrix);

bool is_reducible(const MatrixBatch& batch, std::size_t matrix);

/// The matrices of a batch sorted by where they go, those of one size together.
struct Plan {
  std::vector<std::size_t> diagonal, lanes, single;
};

Plan plan(const MatrixBatch& batch, Spectrum spectrum, Structure structure);

/// Matrices of one size that are solved together.
struct Group {
  std::size_t first, count, n;  // first: into the list of matrices
};

/// Up to how many matrices LAPACK, one by one, is faster than a group of so many lanes, which takes
/// as long for one matrix as for all that it holds.
std::size_t few_for_lanes(Spectrum spectrum, std::size_t n, std::size_t lanes);

/// Cuts a list sorted by size into groups of one size, of at most width(n) matrices.
template <class Width>
std::vector<Group> groups_of(const MatrixBatch& batch, const std::vector<std::size_t>& matrices,
                             const Width& width) {
  std::vector<Group> groups;
  for (std::size_t first = 0; first < matrices.size();) {
    const std::size_t n = batch.length(matrices[first]);
    std::size_t end = first + 1;
    while (end < matrices.size() && end - first < width(n) && batch.length(matrices[end]) == n) {
      ++end;
    }
    groups.push_back({first, end - first, n});
    first = end;
  }
  return groups;
}

}  // namespace eigencore
