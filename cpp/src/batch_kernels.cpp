// The kernels that callers see: each matrix goes where its structure, its size and what the lanes
// find of it send it. Triangular ones are read off their diagonal, most others are solved W at a
// time in lanes, and what lanes should not solve goes to the reference, one by one.

#include <algorithm>
#include <cmath>
#include <limits>

#include "eigencore/kernels.hpp"
#include "lane_groups.hpp"
#include "metric_planes.hpp"
#include "plan.hpp"
#include "pool.hpp"
#include "reference.hpp"

namespace eigencore {

namespace {

/// Diagonals that one thread measures at a time.
constexpr std::size_t kDiagonals = 1024;

template <class Real>
struct EigenvaluesOut {
  const MatrixBatch& batch;
  Structure structure;
  std::complex<Real>* values;
  Status* status;

  const EigenvaluesOut& open(std::size_t) const { return *this; }
  void close() const {}
  void solve_alone(std::size_t matrix, Structure known) const {
    reference::kernels<Real>().eigvals(only(batch, matrix), known, values + matrix * batch.n,
                                       status + matrix);
  }
  void solve_alone(std::size_t matrix) const { solve_alone(matrix, structure); }
  void write_nan(std::size_t matrix) const {
    status[matrix] = Status::non_finite;
    fill_nan(matrix);
  }
  void write(std::size_t matrix, const SolvedLane<Real>& solved) const {
    if (!std::isfinite(static_cast<Real>(solved.magnitude(0)))) return write_nan(matrix);
    status[matrix] = Status::ok;
    const std::size_t n = batch.length(matrix);
    std::complex<Real>* const out = values + matrix * batch.n;
    if (n < batch.n) fill_nan(matrix);
    for (std::size_t k = 0; k < n; ++k) {
      out[k] = {static_cast<Real>(solved.re(k)), static_cast<Real>(solved.im(k))};
    }
  }

 private:
  void fill_nan(std::size_t matrix) const {
    std::fill_n(values + matrix * batch.n, batch.n,
                std::complex<Real>(std::numeric_limits<Real>::quiet_NaN()));
  }
};

template <class Real>
struct SingularValuesOut {
  const MatrixBatch& batch;
  Real* values;
  Status* status;

  const SingularValuesOut& open(std::size_t) const { return *this; }
  void close() const {}
  void solve_alone(std::size_t matrix) const {
    reference::kernels<Real>().svdvals(only(batch, matrix), values + matrix * batch.n,
                                       status + matrix);
  }
  void write_nan(std::size_t matrix) const {
    status[matrix] = Status::non_finite;
    fill_nan(matrix);
  }
  void write(std::size_t matrix, const SolvedLane<Real>& solved) const {
    if (!std::isfinite(static_cast<Real>(solved.magnitude(0)))) return write_nan(matrix);
    status[matrix] = Status::ok;
    const std::size_t n = batch.length(matrix);
    if (n < batch.n) fill_nan(matrix);
    for (std::size_t k = 0; k < n; ++k) {
      values[matrix * batch.n + k] = static_cast<Real>(solved.magnitude(k));
    }
  }

 private:
  void fill_nan(std::size_t matrix) const {
    std::fill_n(values + matrix * batch.n, batch.n, std::numeric_limits<Real>::quiet_NaN());
  }
};

template <class Real>
struct MetricsOut {
  const MatrixBatch& batch;
  Spectrum spectrum;
  Structure structure;
  MetricPlanes planes;
  Status* status;

  void solve_alone(std::size_t matrix) const {
    double row[kMetricCount];
    reference::kernels<Real>().metrics(only(batch, matrix), spectrum, structure, row,
                                       status + matrix);
    planes.write(matrix, [&row](std::size_t c) { return row[c]; });
  }

  class Group {
   public:
    Group(const MetricsOut& out, std::size_t n)
        : out_(out),
          lanes_(n, static_cast<double>(n) * std::numeric_limits<Real>::epsilon(), out.spectrum,
                 out.planes) {}
    void solve_alone(std::size_t matrix) const { out_.solve_alone(matrix); }
    void write_nan(std::size_t matrix) const {
      out_.status[matrix] = Status::non_finite;
      out_.planes.write_nan(matrix);
    }
    void write(std::size_t matrix, const SolvedLane<Real>& solved) {
      out_.status[matrix] = Status::ok;
      lanes_.add(matrix, [&solved](std::size_t k) { return solved.magnitude(k); });
    }
    void close() { lanes_.flush(); }

   private:
    const MetricsOut& out_;
    MetricLanes lanes_;
  };
  Group open(std::size_t n) const { return Group(*this, n); }
};

/// Calls solve(matrix) for each, in parallel where one alone is worth a thread.
template <class Solve>
void solve_each(const std::vector<std::size_t>& matrices, double ns_each, const Solve& solve) {
  parallel_for(matrices.size(), ns_each, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) solve(matrices[i]);
  });
}

double ns_alone(const MatrixBatch& batch) {
  const double n = static_cast<double>(batch.n);
  return 10 * n * n * n;
}

template <class Real>
void eigvals_of_batch(const MatrixBatch& batch, Structure structure, std::complex<Real>* values,
                      Status* status) {
  const EigenvaluesOut<Real> out{batch, structure, values, status};
  const Plan where = plan(batch, Spectrum::eigen, structure);
  solve_each(where.diagonal, 20.0 * static_cast<double>(batch.n),
             [&](std::size_t matrix) { out.solve_alone(matrix, Structure::causal); });
  solve_each(where.single, ns_alone(batch), [&](std::size_t matrix) { out.solve_alone(matrix); });
  solve_lanes<Real>(batch, Spectrum::eigen, false, where.lanes, out);
}

template <class Real>
void svdvals_of_batch(const MatrixBatch& batch, Real* values, Status* status) {
  const SingularValuesOut<Real> out{batch, values, status};
  const Plan where = plan(batch, Spectrum::singular, Structure::dense);
  solve_each(where.single, ns_alone(batch), [&](std::size_t matrix) { out.solve_alone(matrix); });
  solve_lanes<Real>(batch, Spectrum::singular, false, where.lanes, out);
}

template <class Real>
void metrics_of_batch(const MatrixBatch& batch, Spectrum spectrum, Structure structure, double* out,
                      Status* status) {
  const MetricPlanes planes(out, batch.count);
  const MetricsOut<Real> sink{batch, spectrum, structure, planes, status};
  const Plan where = plan(batch, spectrum, structure);
  const auto diagonal = groups_of(batch, where.diagonal, [](std::size_t) { return kDiagonals; });
  parallel_for(diagonal.size(), kDiagonals * 3.0 * static_cast<double>(batch.n),
               [&](std::size_t begin, std::size_t end) {
                 for (std::size_t g = begin; g < end; ++g) {
                   metrics_of_diagonals(batch, where.diagonal.data() + diagonal[g].first,
                                        diagonal[g], planes, status);
                 }
               });
  solve_each(where.single, ns_alone(batch), [&](std::size_t matrix) { sink.solve_alone(matrix); });
  solve_lanes<Real>(batch, spectrum, structure == Structure::causal, where.lanes, sink);
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
