// The lane kernels of one instruction-set level. The build compiles this file once for each level,
// with that level's flags, EIGENCORE_LEVEL, EIGENCORE_LEVEL_NAME and EIGENCORE_REGISTER_BYTES.
// Nothing of the standard library is instantiated here: the linker keeps one copy of an inline
// function, and if that were one compiled for AVX-512, older machines would run into it.

#include "bidiagonal.hpp"
#include "dqds.hpp"
#include "hessenberg.hpp"
#include "hessenberg_qr.hpp"
#include "lane_balance.hpp"
#include "lane_metrics.hpp"
#include "lane_pack.hpp"

namespace eigencore::EIGENCORE_LEVEL {

namespace {

/// From these sizes on one register of lanes is enough: two hide more latency, but wait for the
/// slowest of more matrices, and leave the caches earlier.
constexpr std::size_t kOneRegisterForEigen = 32, kOneRegisterForSingular = 144;

/// Up to this size a known eigenvalue is worth taking out first. It saves 40% of the work at n = 6
/// and 5% at 64, and subtracting a row costs small eigenvalues of sharp attention a digit at n = 12
/// and two at 20.
constexpr std::size_t kDeflateUpTo = 8;

/// An odd stride, except where rows are too short for cache sets to matter.
std::size_t stride_of(std::size_t n) { return n < 8 ? n : n | 1; }

template <class T, std::size_t K>
std::size_t matrix_size(std::size_t n) {
  return n * stride_of(n) * Lanes<T, K>::width;
}

/// Attention rows sum to 1, so that 1 is an eigenvalue, and the others are those of
/// A[1:, 1:] - 1 A[0, 1:]. Puts these two blocks in the place of A in the lanes all of whose rows
/// sum to the same power of two within rounding (1, scaled): the iteration has one row less to do.
template <class T, std::size_t K>
void deflate_row_sums(const LaneMatrix<T, K>& a, std::size_t n) {
  using V = Lanes<T, K>;
  const V zero(T(0));
  V total(T(0));
  auto known = zero == zero;
  for (std::size_t i = 0; i < n; ++i) {
    V sum(T(0));
    for (std::size_t j = 0; j < n; ++j) sum = sum + a.get(i, j);
    if (i == 0) total = power_of_two(exponent_of(sum * V(T(1.001))));
    const V tolerance = total * V(static_cast<T>(n) * Limits<T>::epsilon);
    known = known & (abs(sum - total) <= tolerance);
    if (none(known)) return;
  }
  for (std::size_t i = 1; i < n; ++i) {
    store_where(known, zero, a.at(i, 0));
    for (std::size_t j = 1; j < n; ++j) {
      store_where(known, a.get(i, j) - a.get(0, j), a.at(i, j));
    }
  }
  store_where(known, total, a.at(0, 0));
  for (std::size_t j = 1; j < n; ++j) store_where(known, zero, a.at(0, j));
}

/// |re + i im|, exactly |re| where im is 0.
template <class V>
V magnitude(const V& re, const V& im) {
  const V x = abs(re), y = abs(im), larger = max(x, y), smaller = min(x, y), one(1);
  const V ratio = smaller / select(larger == V(0), one, larger);
  return larger * sqrt(one + ratio * ratio);
}

/// By magnitude downwards, then by real and imaginary part.
template <class T, std::size_t K>
void sort_eigenvalues(T* re, T* im, T* magnitudes, std::size_t n) {
  using V = Lanes<T, K>;
  constexpr std::size_t W = V::width;
  sorting_network(n, [=](std::size_t i, std::size_t j) {
    T* const arrays[] = {magnitudes, re, im};
    V x[3], y[3];
    for (int part = 0; part < 3; ++part) {
      x[part] = V::load(arrays[part] + i * W);
      y[part] = V::load(arrays[part] + j * W);
    }
    const auto swap =
        (x[0] < y[0]) | ((x[0] == y[0]) & ((x[1] < y[1]) | ((x[1] == y[1]) & (x[2] < y[2]))));
    for (int part = 0; part < 3; ++part) {
      select(swap, y[part], x[part]).store(arrays[part] + i * W);
      select(swap, x[part], y[part]).store(arrays[part] + j * W);
    }
  });
}

template <class T, std::size_t K>
void solve_eigen(const LaneSource& source, T* re, T* im, T* magnitudes, std::uint8_t* facts,
                 T* work) {
  using V = Lanes<T, K>;
  constexpr std::size_t W = V::width;
  const std::size_t n = source.n;
  const LaneMatrix<T, K> a{work, stride_of(n)};
  T* const rest = work + matrix_size<T, K>(n);
  Packing<T, K>::fill(source, a);
  const V exponent = Packing<T, K>::screen(a, n, facts);
  if (n > 2 && n <= kDeflateUpTo) deflate_row_sums(a, n);
  Packing<T, K>::mark(Balancing<T, K>::run(a, n, rest), kLaneUnbalanced, facts);
  HessenbergReduction<T, K>::run(a, n, rest);
  Packing<T, K>::mark(HessenbergQr<T, K>::run(a, n, re, im), kLaneNotConverged, facts);
  V first, second;
  power_of_two_in_halves(exponent, first, second);
  for (std::size_t k = 0; k < n; ++k) {
    const V x = V::load(re + k * W), y = V::load(im + k * W);
    (magnitude(x, y) * first * second).store(magnitudes + k * W);
    (x * first * second).store(re + k * W);
    (y * first * second).store(im + k * W);
  }
  sort_eigenvalues<T, K>(re, im, magnitudes, n);
}

template <class T, std::size_t K>
void solve_singular(const LaneSource& source, T* sigma, std::uint8_t* facts, T* work) {
  using V = Lanes<T, K>;
  constexpr std::size_t W = V::width;
  const std::size_t n = source.n;
  const LaneMatrix<T, K> a{work, stride_of(n)};
  Packing<T, K>::fill(source, a);
  const V exponent = Packing<T, K>::screen(a, n, facts);
  T* const e = work + matrix_size<T, K>(n);
  T* const rest = e + n * W;
  Bidiagonalisation<T, K>::run(a, n, sigma, e, rest);
  const auto failed = Dqds<T, K>::run(n, sigma, e, rest);
  Packing<T, K>::mark(failed, kLaneNotConverged, facts);
  V first, second;
  power_of_two_in_halves(exponent, first, second);
  for (std::size_t k = 0; k < n; ++k) {
    (V::load(sigma + k * W) * first * second).store(sigma + k * W);
  }
}

template <class T>
bool takes_two_registers(Spectrum spectrum, std::size_t n, std::size_t count) {
  const std::size_t one_from =
      spectrum == Spectrum::eigen ? kOneRegisterForEigen : kOneRegisterForSingular;
  return n < one_from && count > Lanes<T, 1>::width;
}

template <class T>
std::size_t width(Spectrum spectrum, std::size_t n, std::size_t count) {
  return takes_two_registers<T>(spectrum, n, count) ? Lanes<T, 2>::width : Lanes<T, 1>::width;
}

template <class T>
std::size_t workspace(Spectrum spectrum, std::size_t n) {
  constexpr std::size_t W = Lanes<T, 1>::width;
  const std::size_t vectors = spectrum == Spectrum::eigen
                                  ? HessenbergReduction<T, 1>::workspace(n) / W
                                  : n + Dqds<T, 1>::workspace(n) / W;
  return (n * stride_of(n) + vectors) * width<T>(spectrum, n, Lanes<T, 2>::width);
}

template <class T>
void eigen(const LaneSource& source, T* re, T* im, T* magnitudes, std::uint8_t* facts, T* work) {
  if (takes_two_registers<T>(Spectrum::eigen, source.n, source.count)) {
    solve_eigen<T, 2>(source, re, im, magnitudes, facts, work);
  } else {
    solve_eigen<T, 1>(source, re, im, magnitudes, facts, work);
  }
}

template <class T>
void singular(const LaneSource& source, T* sigma, std::uint8_t* facts, T* work) {
  if (takes_two_registers<T>(Spectrum::singular, source.n, source.count)) {
    solve_singular<T, 2>(source, sigma, facts, work);
  } else {
    solve_singular<T, 1>(source, sigma, facts, work);
  }
}

std::size_t metrics_width() { return SpectrumMetricsOnLanes::W; }

void metrics(const double* magnitudes, std::size_t n, double resolution, Spectrum spectrum,
             double* out) {
  Lanes<double, 1> table[kMetricCount];
  const SpectrumMetricsOnLanes::Size size(n);
  SpectrumMetricsOnLanes::run<0>(magnitudes, size, resolution, spectrum == Spectrum::singular,
                                 table);
  __builtin_memcpy(out, table, sizeof table);
}

}  // namespace

extern const Level level;
const Level level = {
    EIGENCORE_LEVEL_NAME,
    {&width<double>, &workspace<double>, &eigen<double>, &singular<double>},
    {&width<float>, &workspace<float>, &eigen<float>, &singular<float>},
    {&metrics_width, &metrics, &DiagonalMetrics::run},
};

}  // namespace eigencore::EIGENCORE_LEVEL
