// The kernels that callers see: each matrix goes where its structure, its size and what the lanes
// find of it send it. Triangular ones are read off their diagonal, most others are solved W at a
// time in lanes, and what lanes should not solve goes to the reference, one by one.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <numeric>
#include <vector>

#include "eigencore/kernels.hpp"
#include "lane_kernels.hpp"
#include "matrix_load.hpp"
#include "pool.hpp"
#include "reference.hpp"
#include "spectrum_metrics.hpp"
#include "structure.hpp"

namespace eigencore {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

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
const LaneKernels<double>& lane_kernels<double>() {
  return active_level().f64;
}
template <>
const LaneKernels<float>& lane_kernels<float>() {
  return active_level().f32;
}

/// One matrix of a batch, as a batch of its own.
MatrixBatch only(const MatrixBatch& batch, std::size_t matrix) {
  MatrixBatch one = batch;
  one.data += static_cast<std::ptrdiff_t>(matrix) * batch.batch_stride;
  one.count = 1;
  if (one.lengths) one.lengths += matrix;
  return one;
}

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

bool is_reducible(const MatrixBatch& batch, std::size_t matrix) {
  const std::size_t length = batch.length(matrix);
  std::vector<double> a(length * length);
  load_matrix(batch, matrix, a.data());
  return irreducible_blocks(a.data(), length).size() > 1;
}

/// Matrices of one size that are solved together.
struct Group {
  std::size_t first, count, n;  // first: into the list of matrices
};

/// The matrices of a batch sorted by where they go.
struct Plan {
  std::vector<std::size_t> diagonal, lanes, single;
};

Plan plan(const MatrixBatch& batch, Spectrum spectrum, Structure structure) {
  Plan plan;
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

/// The matrices of a group as lanes read them. Rows of float32 or float64 that lie together are
/// read in place; everything else is copied.
template <class Real>
class GroupSource {
 public:
  GroupSource(const MatrixBatch& batch, const std::size_t* matrices, const Group& group,
              bool lower_only) {
    const bool narrows = batch.scalar == Scalar::float64 && sizeof(Real) < sizeof(double);
    const std::size_t item = batch.scalar == Scalar::float64 ? sizeof(double) : sizeof(float);
    const bool in_place = !lower_only && !narrows &&
                          (batch.scalar == Scalar::float64 || batch.scalar == Scalar::float32) &&
                          batch.col_stride == static_cast<std::ptrdiff_t>(item);
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

/// Solves every group of a plan's lanes in parallel, and calls visit(matrices of the group, n,
/// solved) for each.
template <class Real, class Visit>
void solve_lanes(const MatrixBatch& batch, Spectrum spectrum, bool lower_only,
                 const std::vector<std::size_t>& matrices, const Visit& visit) {
  const LaneKernels<Real>& kernels = lane_kernels<Real>();
  const auto groups = groups_of(batch, matrices, [&kernels](std::size_t n) {
    return kernels.width(n, std::numeric_limits<std::size_t>::max());
  });
  if (groups.empty()) return;
  std::size_t largest_work = 0, largest_values = 0;
  for (const Group& group : groups) {
    largest_work = std::max(largest_work, kernels.workspace(group.n));
    largest_values = std::max(largest_values, (group.n + 1) * kernels.width(group.n, group.count));
  }
  const double n = static_cast<double>(groups.back().n);
  const double ns_per_group = 10 * n * n * n;
  parallel_for(groups.size(), ns_per_group, [&](std::size_t begin, std::size_t end) {
    const LaneArray<Real> work(largest_work), values(3 * largest_values);
    std::vector<std::uint8_t> facts(kLaneAlignment);
    for (std::size_t g = begin; g < end; ++g) {
      const Group& group = groups[g];
      const GroupSource<Real> source(batch, matrices.data() + group.first, group, lower_only);
      Real *const re = values.get(), *const im = re + largest_values,
                  *const magnitudes = im + largest_values;
      if (spectrum == Spectrum::eigen) {
        kernels.eigen(source.lanes, re, im, magnitudes, facts.data(), work.get());
      } else {
        kernels.singular(source.lanes, magnitudes, facts.data(), work.get());
      }
      visit(matrices.data() + group.first, group.count, group.n,
            SolvedGroup<Real>{source, kernels.width(group.n, group.count), re, im, magnitudes,
                              facts.data()});
    }
  });
}

template <class Real>
void eigvals_of_batch(const MatrixBatch& batch, Structure structure, std::complex<Real>* values,
                      Status* status) {
  const auto alone = [&](std::size_t matrix, Structure s) {
    reference::kernels<Real>().eigvals(only(batch, matrix), s, values + matrix * batch.n,
                                       status + matrix);
  };
  const Plan where = plan(batch, Spectrum::eigen, structure);
  parallel_for(where.diagonal.size(), 20.0 * static_cast<double>(batch.n),
               [&](std::size_t begin, std::size_t end) {
                 for (std::size_t i = begin; i < end; ++i) {
                   alone(where.diagonal[i], Structure::causal);
                 }
               });
  for (const std::size_t matrix : where.single) alone(matrix, structure);
  solve_lanes<Real>(batch, Spectrum::eigen, false, where.lanes,
                    [&](const std::size_t* matrices, std::size_t count, std::size_t n,
                        const SolvedGroup<Real>& solved) {
                      for (std::size_t lane = 0; lane < count; ++lane) {
                        const std::size_t matrix = matrices[lane];
                        const Verdict verdict =
                            judge(batch, matrix, Spectrum::eigen, solved, lane, n);
                        if (verdict == Verdict::elsewhere) {
                          alone(matrix, structure);
                          continue;
                        }
                        status[matrix] = verdict == Verdict::ok ? Status::ok : Status::non_finite;
                        std::complex<Real>* const out = values + matrix * batch.n;
                        std::fill_n(out, batch.n, std::complex<Real>(static_cast<Real>(kNaN)));
                        if (verdict != Verdict::ok) continue;
                        for (std::size_t k = 0; k < n; ++k) {
                          out[k] = {static_cast<Real>(solved.value(solved.re, k, lane)),
                                    static_cast<Real>(solved.value(solved.im, k, lane))};
                        }
                      }
                    });
}

template <class Real>
void svdvals_of_batch(const MatrixBatch& batch, Real* values, Status* status) {
  const auto alone = [&](std::size_t matrix) {
    reference::kernels<Real>().svdvals(only(batch, matrix), values + matrix * batch.n,
                                       status + matrix);
  };
  const Plan where = plan(batch, Spectrum::singular, Structure::dense);
  for (const std::size_t matrix : where.single) alone(matrix);
  solve_lanes<Real>(batch, Spectrum::singular, false, where.lanes,
                    [&](const std::size_t* matrices, std::size_t count, std::size_t n,
                        const SolvedGroup<Real>& solved) {
                      for (std::size_t lane = 0; lane < count; ++lane) {
                        const std::size_t matrix = matrices[lane];
                        const Verdict verdict =
                            judge(batch, matrix, Spectrum::singular, solved, lane, n);
                        if (verdict == Verdict::elsewhere) {
                          alone(matrix);
                          continue;
                        }
                        status[matrix] = verdict == Verdict::ok ? Status::ok : Status::non_finite;
                        Real* const out = values + matrix * batch.n;
                        std::fill_n(out, batch.n, static_cast<Real>(kNaN));
                        if (verdict != Verdict::ok) continue;
                        for (std::size_t k = 0; k < n; ++k) {
                          out[k] = static_cast<Real>(solved.value(solved.magnitudes, k, lane));
                        }
                      }
                    });
}

/// Collects spectra of one size until there are as many as are measured together.
class MetricLanes {
 public:
  MetricLanes(std::size_t n, double resolution, Spectrum spectrum, bool sorted, double* out)
      : n_(n),
        resolution_(resolution),
        spectrum_(spectrum),
        sorted_(sorted),
        out_(out),
        metrics_(active_level().metrics),
        W_(metrics_.width()),
        magnitudes_(n * W_),
        table_(W_ * kMetricCount) {
    std::fill_n(magnitudes_.get(), n * W_, 1.0);
  }

  /// magnitude(k) for k < n.
  template <class Magnitude>
  void add(std::size_t matrix, const Magnitude& magnitude) {
    for (std::size_t k = 0; k < n_; ++k) magnitudes_.get()[k * W_ + held_] = magnitude(k);
    matrices_[held_++] = matrix;
    if (held_ == W_) flush();
  }

  void flush() {
    if (held_ == 0) return;
    if (!sorted_) metrics_.sort(magnitudes_.get(), n_);
    metrics_.metrics(magnitudes_.get(), n_, resolution_, spectrum_, table_.data());
    for (std::size_t lane = 0; lane < held_; ++lane) {
      std::copy_n(table_.data() + lane * kMetricCount, kMetricCount,
                  out_ + matrices_[lane] * kMetricCount);
    }
    held_ = 0;
  }

 private:
  std::size_t n_;
  double resolution_;
  Spectrum spectrum_;
  bool sorted_;
  double* out_;
  const LaneMetrics& metrics_;
  std::size_t W_;
  LaneArray<double> magnitudes_;
  std::vector<double> table_;
  std::size_t matrices_[kLaneAlignment] = {};
  std::size_t held_ = 0;
};

/// Metrics of matrices whose eigenvalues are their diagonal.
void metrics_of_diagonals(const MatrixBatch& batch, const std::vector<std::size_t>& matrices,
                          double* out, Status* status) {
  // A group of any size: only equal n holds it together.
  const auto groups = groups_of(batch, matrices, [](std::size_t) { return std::size_t{1024}; });
  parallel_for(groups.size(), 1024 * 8.0 * static_cast<double>(batch.n),
               [&](std::size_t begin, std::size_t end) {
                 std::vector<double> diagonal(batch.n);
                 for (std::size_t g = begin; g < end; ++g) {
                   const Group& group = groups[g];
                   MetricLanes lanes(group.n, 0.0, Spectrum::eigen, false, out);
                   for (std::size_t k = group.first; k < group.first + group.count; ++k) {
                     const std::size_t matrix = matrices[k];
                     const bool finite = load_diagonal(batch, matrix, diagonal.data());
                     status[matrix] = finite ? Status::ok : Status::non_finite;
                     if (finite) {
                       lanes.add(matrix, [&](std::size_t i) { return std::abs(diagonal[i]); });
                     } else {
                       std::fill_n(out + matrix * kMetricCount, kMetricCount, kNaN);
                     }
                   }
                   lanes.flush();
                 }
               });
}

template <class Real>
void metrics_of_batch(const MatrixBatch& batch, Spectrum spectrum, Structure structure, double* out,
                      Status* status) {
  const auto alone = [&](std::size_t matrix) {
    reference::kernels<Real>().metrics(only(batch, matrix), spectrum, structure,
                                       out + matrix * kMetricCount, status + matrix);
  };
  const Plan where = plan(batch, spectrum, structure);
  metrics_of_diagonals(batch, where.diagonal, out, status);
  for (const std::size_t matrix : where.single) alone(matrix);
  const bool lower_only = structure == Structure::causal;
  solve_lanes<Real>(batch, spectrum, lower_only, where.lanes,
                    [&](const std::size_t* matrices, std::size_t count, std::size_t n,
                        const SolvedGroup<Real>& solved) {
                      constexpr double epsilon = std::numeric_limits<Real>::epsilon();
                      MetricLanes lanes(n, static_cast<double>(n) * epsilon, spectrum, true, out);
                      for (std::size_t lane = 0; lane < count; ++lane) {
                        const std::size_t matrix = matrices[lane];
                        const Verdict verdict = judge(batch, matrix, spectrum, solved, lane, n);
                        if (verdict == Verdict::elsewhere) {
                          alone(matrix);
                          continue;
                        }
                        status[matrix] = verdict == Verdict::ok ? Status::ok : Status::non_finite;
                        if (verdict == Verdict::ok) {
                          lanes.add(matrix, [&](std::size_t k) {
                            return solved.value(solved.magnitudes, k, lane);
                          });
                        } else {
                          std::fill_n(out + matrix * kMetricCount, kMetricCount, kNaN);
                        }
                      }
                      lanes.flush();
                    });
}

}  // namespace

template <class Real>
const Kernels<Real>& kernels() {
  static constexpr Kernels<Real> table{&eigvals_of_batch<Real>, &svdvals_of_batch<Real>,
                                       &metrics_of_batch<Real>};
  return table;
}

template const Kernels<float>& kernels<float>();
template const Kernels<double>& kernels<double>();

}  // namespace eigencore
