#pragma once

// Groups of matrices on their way into lanes and out of them.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "lane_kernels.hpp"
#include "matrix_load.hpp"
#include "plan.hpp"
#include "pool.hpp"

namespace eigencore {

/// Uninitialised storage, aligned for lanes.
template <class T>
class LaneArray {
 public:
  explicit LaneArray(std::size_t size)
      : data_(static_cast<T*>(
            ::operator new(std::max<std::size_t>(size, 1) * sizeof(T), kAlignment))) {}
  T* get() const { return data_.get(); }

 private:
  static constexpr std::align_val_t kAlignment{kLaneAlignment};
  struct Free {
    void operator()(T* p) const { ::operator delete(p, kAlignment); }
  };
  std::unique_ptr<T, Free> data_;
};

template <class Real>
const LaneKernels<Real>& lane_kernels();
template <>
inline const LaneKernels<double>& lane_kernels<double>() {
  return active_level().f64;
}
template <>
inline const LaneKernels<float>& lane_kernels<float>() {
  return active_level().f32;
}

/// The matrices of a group as lanes read them: in place where the entries of a row lie together,
/// else copied.
template <class Real>
class GroupSource {
 public:
  GroupSource(const MatrixBatch& batch, const std::size_t* matrices, const Group& group,
              bool lower_only) {
    const bool narrows = batch.scalar == Scalar::float64 && sizeof(Real) < sizeof(double);
    const std::size_t item =
        visit_scalar(batch.scalar, [](auto element) { return sizeof element; });
    const bool in_place =
        !lower_only && !narrows && batch.col_stride == static_cast<std::ptrdiff_t>(item);
    const std::size_t n = group.n;
    if (!in_place) copy_.resize(group.count * n * n);
    for (std::size_t k = 0; k < group.count; ++k) {
      if (in_place) {
        pointers_.push_back(only(batch, matrices[k]).data);
        continue;
      }
      double* const to = copy_.data() + k * n * n;
      load_matrix(batch, matrices[k], to, lower_only);
      if (narrows) exponents_.push_back(scale_to_one(to, n * n));
      pointers_.push_back(reinterpret_cast<const std::byte*>(to));
    }
    const auto packed_row = static_cast<std::ptrdiff_t>(n * sizeof(double));
    lanes = {pointers_.data(), group.count, n, in_place ? batch.row_stride : packed_row,
             in_place ? batch.scalar : Scalar::float64};
  }

  LaneSource lanes;

  /// The power of two that was taken out of the group's matrix k, so that it fits Real.
  int exponent(std::size_t k) const { return exponents_.empty() ? 0 : exponents_[k]; }

 private:
  std::vector<const std::byte*> pointers_;
  std::vector<double> copy_;
  std::vector<int> exponents_;

  static int scale_to_one(double* a, std::size_t size) {
    double largest = 0;
    for (std::size_t i = 0; i < size; ++i) largest = std::max(largest, std::abs(a[i]));
    int exponent = 0;
    if (largest > 0 && std::isfinite(largest)) std::frexp(largest, &exponent);
    for (std::size_t i = 0; i < size && exponent; ++i) a[i] = std::ldexp(a[i], -exponent);
    return exponent;
  }
};

/// What lanes made of a group: (n, W) arrays, and a power of two for each lane that they lack.
template <class Real>
struct SolvedGroup {
  const GroupSource<Real>& source;
  std::size_t W;
  const Real *re, *im, *magnitudes;
  const std::uint8_t* facts;

  /// One of the arrays at value k of a lane, as large as it is.
  double value(const Real* array, std::size_t k, std::size_t lane) const {
    const double x = static_cast<double>(array[k * W + lane]);
    const int exponent = source.exponent(lane);
    return exponent ? std::ldexp(x, exponent) : x;
  }
};

/// Whether a lane's result stands; a bad matrix is told apart from one that lanes should not solve.
enum class Verdict { ok, non_finite, elsewhere };

template <class Real>
Verdict judge(const MatrixBatch& batch, std::size_t matrix, Spectrum spectrum,
              const SolvedGroup<Real>& solved, std::size_t lane, std::size_t n) {
  const std::uint8_t facts = solved.facts[lane];
  if (facts & kLaneNonFinite) return Verdict::non_finite;
  if (facts & kLaneNotConverged) return Verdict::elsewhere;
  if (spectrum == Spectrum::eigen) {
    if (facts & kLaneUnbalanced) return Verdict::elsewhere;
    if ((facts & kLaneHasZeros) && is_reducible(batch, matrix)) return Verdict::elsewhere;
  }
  for (std::size_t k = 0; k < n; ++k) {
    if (!std::isfinite(solved.value(solved.magnitudes, k, lane))) return Verdict::non_finite;
  }
  return Verdict::ok;
}

/// One lane of a solved group: value k of a spectrum.
template <class Real>
struct SolvedLane {
  const SolvedGroup<Real>& group;
  std::size_t lane;

  double re(std::size_t k) const { return group.value(group.re, k, lane); }
  double im(std::size_t k) const { return group.value(group.im, k, lane); }
  double magnitude(std::size_t k) const { return group.value(group.magnitudes, k, lane); }
};

/// Solves matrices in groups, in parallel. What becomes of each is told to sink.open(n), a writer
/// for one group: write(matrix, solved lane), write_nan(matrix) where it holds NaN or infinity, or
/// solve_alone(matrix) for what lanes are not for; and close() in the end.
template <class Real, class Sink>
void solve_lanes(const MatrixBatch& batch, Spectrum spectrum, bool lower_only,
                 const std::vector<std::size_t>& matrices, const Sink& sink) {
  const LaneKernels<Real>& kernels = lane_kernels<Real>();
  const auto groups = groups_of(batch, matrices, [&](std::size_t n) {
    return kernels.width(spectrum, n, std::numeric_limits<std::size_t>::max());
  });
  if (groups.empty()) return;
  std::size_t largest_work = 0, largest_values = 0;
  for (const Group& group : groups) {
    largest_work = std::max(largest_work, kernels.workspace(spectrum, group.n));
    const std::size_t width = kernels.width(spectrum, group.n, group.count);
    largest_values = std::max(largest_values, group.n * width);
  }
  const double n = static_cast<double>(groups.back().n);
  const double ns_per_group = 10 * n * n * n;
  parallel_for(groups.size(), ns_per_group, [&](std::size_t begin, std::size_t end) {
    const LaneArray<Real> work(largest_work), values(3 * largest_values);
    Real *const re = values.get(), *const im = re + largest_values,
                *const magnitudes = im + largest_values;
    std::vector<std::uint8_t> facts(kLaneAlignment);
    for (std::size_t g = begin; g < end; ++g) {
      const Group& group = groups[g];
      const std::size_t* const members = matrices.data() + group.first;
      auto writer = sink.open(group.n);
      if (group.count <= few_for_lanes(spectrum, group.n, kernels.width(spectrum, group.n, 1))) {
        for (std::size_t k = 0; k < group.count; ++k) writer.solve_alone(members[k]);
        continue;
      }
      const GroupSource<Real> source(batch, members, group, lower_only);
      if (spectrum == Spectrum::eigen) {
        kernels.eigen(source.lanes, re, im, magnitudes, facts.data(), work.get());
      } else {
        kernels.singular(source.lanes, magnitudes, facts.data(), work.get());
      }
      const SolvedGroup<Real> solved{
          source, kernels.width(spectrum, group.n, group.count), re, im, magnitudes, facts.data()};
      for (std::size_t lane = 0; lane < group.count; ++lane) {
        switch (judge(batch, members[lane], spectrum, solved, lane, group.n)) {
          case Verdict::ok:
            writer.write(members[lane], SolvedLane<Real>{solved, lane});
            break;
          case Verdict::non_finite:
            writer.write_nan(members[lane]);
            break;
          case Verdict::elsewhere:
            writer.solve_alone(members[lane]);
        }
      }
      writer.close();
    }
  });
}

}  // namespace eigencore
