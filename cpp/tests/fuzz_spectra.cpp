// The fuzz target: bytes become a batch, every kernel runs on it, and its results must keep to the
// rules of fuzz_invariants.hpp.

#include <algorithm>
#include <complex>
#include <limits>
#include <vector>

#include "../src/pool.hpp"
#include "../src/reference.hpp"
#include "eigencore/kernels.hpp"
#include "fuzz_invariants.hpp"

namespace eigencore::fuzz {

namespace {

/// No code of a status, so that one that was not written is seen.
constexpr auto kUnwritten = static_cast<Status>(0xaa);

template <class Real>
class Run {
 public:
  explicit Run(const Case& given) : given_(given), batch_(given.batch()) {}

  void check() const {
    check_eigvals();
    check_svdvals();
    check_metrics_of(given_.spectrum, given_.structure);
  }

 private:
  const Case& given_;
  const MatrixBatch& batch_;

  std::vector<Status> statuses() const { return std::vector<Status>(batch_.count, kUnwritten); }

  Matrix matrix(std::size_t i, Part part) const {
    return Matrix(given_, i, given_.length(i), part);
  }

  void check_eigvals() const {
    std::vector<std::complex<Real>> values(batch_.count * batch_.n);
    auto status = statuses();
    kernels<Real>().eigvals(batch_, given_.structure, values.data(), status.data());
    const Part part = given_.structure == Structure::causal ? Part::diagonal : Part::all;
    for (std::size_t i = 0; i < batch_.count; ++i) {
      check_eigenvalues(matrix(i, part), values.data() + i * batch_.n, batch_.n, status[i]);
    }
  }

  void check_svdvals() const {
    std::vector<Real> values(batch_.count * batch_.n), other(values.size());
    auto status = statuses(), other_status = statuses();
    kernels<Real>().svdvals(batch_, values.data(), status.data());
    reference::kernels<Real>().svdvals(batch_, other.data(), other_status.data());
    for (std::size_t i = 0; i < batch_.count; ++i) {
      const Matrix a = matrix(i, Part::all);
      check_status<Real>(a, other_status[i]);
      check_singular_values(a, values.data() + i * batch_.n,
                            other_status[i] == Status::ok ? other.data() + i * batch_.n : nullptr,
                            batch_.n, status[i]);
    }
  }

  /// In double the spectra themselves say what the metrics are: both come of the same kernel.
  void check_metrics_of(Spectrum spectrum, Structure structure) const {
    std::vector<double> table(kMetricCount * batch_.count), row(kMetricCount);
    auto status = statuses();
    kernels<Real>().metrics(batch_, spectrum, structure, table.data(), status.data());
    const bool causal = structure == Structure::causal, eigen = spectrum == Spectrum::eigen;
    const Part part = !causal ? Part::all : eigen ? Part::diagonal : Part::lower;
    const bool known = sizeof(Real) == sizeof(double) && (eigen || !causal);
    const auto magnitudes = known ? magnitudes_of(spectrum) : std::vector<double>();
    for (std::size_t i = 0; i < batch_.count; ++i) {
      const Matrix a = matrix(i, part);
      check_status<Real>(a, status[i]);
      for (std::size_t m = 0; m < kMetricCount; ++m) row[m] = table[m * batch_.count + i];
      check_metrics(a, row.data(), known ? magnitudes.data() + i * batch_.n : nullptr, spectrum,
                    status[i]);
    }
  }

  std::vector<double> magnitudes_of(Spectrum spectrum) const {
    std::vector<double> magnitudes(batch_.count * batch_.n);
    auto status = statuses();
    if (spectrum == Spectrum::singular) {
      kernels<double>().svdvals(batch_, magnitudes.data(), status.data());
      return magnitudes;
    }
    std::vector<std::complex<double>> values(magnitudes.size());
    kernels<double>().eigvals(batch_, given_.structure, values.data(), status.data());
    std::transform(values.begin(), values.end(), magnitudes.begin(),
                   [](const std::complex<double>& z) { return std::abs(z); });
    return magnitudes;
  }
};

void check_rows(const Case& given) {
  MatrixBatch batch = given.batch();
  batch.lengths = nullptr;
  std::vector<double> table(kRowMetricCount * batch.count * batch.n);
  std::vector<Status> status(batch.count, kUnwritten);
  row_metrics(batch, table.data(), status.data());
  check_row_metrics(given, table.data(), status.data());
}

}  // namespace

}  // namespace eigencore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace eigencore;
  const fuzz::Case given(fuzz::Bytes(data, size));
  use_arch(given.level);
  set_num_threads(given.threads);
  if (given.in_float) {
    fuzz::Run<float>(given).check();
  } else {
    fuzz::Run<double>(given).check();
  }
  fuzz::check_rows(given);
  return 0;
}
