#include "fuzz_case.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <numeric>

#include "eigencore/kernels.hpp"

namespace eigencore::fuzz {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// splitmix64: values of any quality would do, but they must follow from the bytes alone.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  /// Near enough to normal: four uniform numbers, of variance 1.
  double normal() { return (uniform() + uniform() + uniform() + uniform() - 2) * std::sqrt(3.0); }
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(bits() % count); }

 private:
  std::uint64_t state_;
};

using Dense = std::vector<double>;

Dense softmax(Random& random, std::size_t n, double scale, bool causal) {
  Dense a(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t width = causal ? i + 1 : n;
    double sum = 0;
    for (std::size_t j = 0; j < width; ++j) sum += a[i * n + j] = std::exp(scale * random.normal());
    for (std::size_t j = 0; j < width; ++j) a[i * n + j] /= sum;
  }
  return a;
}

Dense permutation(Random& random, std::size_t n) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  Dense a(n * n, 0.0);
  for (std::size_t i = 0; i < n; ++i) a[i * n + order[i]] = 1;
  return a;
}

enum Family : std::size_t {
  kAttention,
  kCausal,
  kSigned,
  kSparse,
  kPermutation,
  kRankOne,
  kGraded,
  kGradedSimilarity,
  kJordan,
  kNearTriangular,
  kUpperTriangular,
  kAllEqual,
  kZero,
  kSkew,
  kAnyBits,
  kFamilyCount,
};

Dense of_family(Family family, Random& random, std::size_t n) {
  Dense a(n * n);
  const auto each = [&](const auto& value) {
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) a[i * n + j] = value(i, j);
    }
  };
  Dense x(n), y(n);
  for (double& value : x) value = random.normal();
  for (double& value : y) value = random.normal();
  const double spread = static_cast<double>(std::size_t{1} << random.below(10));
  switch (family) {
    case kCausal:
      return softmax(random, n, spread, true);
    case kSigned:
      each([&](std::size_t, std::size_t) { return random.normal(); });
      return a;
    case kSparse:
      each([&](std::size_t, std::size_t) {
        return random.uniform() < 2.0 / static_cast<double>(n)
                   ? static_cast<double>(random.below(5)) - 2
                   : 0.0;
      });
      return a;
    case kPermutation:
      return permutation(random, n);
    case kRankOne:
      each([&](std::size_t i, std::size_t j) { return x[i] * y[j]; });
      return a;
    case kGraded:
      each([&](std::size_t i, std::size_t j) {
        return random.normal() * std::exp2(spread * (x[i] + y[j]));
      });
      return a;
    case kGradedSimilarity:
      each([&](std::size_t i, std::size_t j) {
        return random.normal() * std::exp2(spread * (x[i] - x[j]));
      });
      return a;
    case kJordan:
      each([&](std::size_t i, std::size_t j) {
        return (i == j ? 0.5 : 0.0) + (i + 1 == j ? 1.0 : 0.0);
      });
      a[(n - 1) * n] += std::exp2(-spread);
      return a;
    case kNearTriangular: {
      a = softmax(random, n, 1, true);
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = i + 1; j < n; ++j) a[i * n + j] = 1e-9 * random.uniform();
      }
      return a;
    }
    case kUpperTriangular:
      each([&](std::size_t i, std::size_t j) { return j < i ? 0.0 : random.normal(); });
      return a;
    case kAllEqual:
      std::fill(a.begin(), a.end(), x[0]);
      return a;
    case kZero:
      return a;
    case kSkew:
      each([&](std::size_t i, std::size_t j) {
        return i < j ? random.normal() : i > j ? -a[j * n + i] : 0.0;
      });
      return a;
    case kAnyBits:
      each([&](std::size_t, std::size_t) { return std::bit_cast<double>(random.bits()); });
      return a;
    case kAttention:
    case kFamilyCount:
      break;
  }
  return softmax(random, n, spread, false);
}

/// Rounded towards zero: which way makes no difference here.
std::uint16_t to_half(double x) {
  const auto sign = static_cast<std::uint16_t>(std::signbit(x) ? 0x8000 : 0);
  const auto with_sign = [sign](double bits) {
    return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(bits));
  };
  const double size = std::abs(x);
  if (std::isnan(x)) return with_sign(0x7e00);
  if (size >= 65536) return with_sign(0x7c00);
  if (size < 0x1p-14) return with_sign(size * 0x1p24);
  int exponent = 0;
  const double mantissa = std::frexp(size, &exponent);  // in [1/2, 1)
  return with_sign((exponent + 13) * 1024 + (mantissa * 2048 - 1024));
}

double from_half(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  double size = std::ldexp(exponent ? mantissa + 1024 : mantissa, std::max(exponent, 1) - 25);
  if (exponent == 31) size = mantissa ? std::numeric_limits<double>::quiet_NaN() : kInfinity;
  return bits & 0x8000 ? -size : size;
}

float to_float(double x) {
  if (std::abs(x) > std::numeric_limits<float>::max()) {
    return static_cast<float>(std::copysign(kInfinity, x));
  }
  return static_cast<float>(x);
}

}  // namespace

std::uint8_t Bytes::byte() {
  if (left_ == 0) return 0;
  --left_;
  return *data_++;
}

std::uint64_t Bytes::word() {
  std::uint64_t x = 0;
  for (int i = 0; i < 8; ++i) x = (x << 8) | byte();
  return x;
}

Case::Case(Bytes bytes) {
  batch_.scalar = static_cast<Scalar>(bytes.below(4));
  constexpr std::size_t items[] = {2, 2, 4, 8};
  item_ = items[static_cast<std::size_t>(batch_.scalar)];
  structure = static_cast<Structure>(bytes.below(3));
  spectrum = static_cast<Spectrum>(bytes.below(2));
  in_float = bytes.below(2) == 1;
  const auto levels = available_arches();
  level = levels[bytes.byte() % levels.size()];
  threads = 1 + bytes.below(3);
  choose_size(bytes);
  choose_strides(bytes);
  allocate(bytes.below(4) == 0 ? bytes.below(item_) : 0);
  fill(bytes);
  spoil(bytes);
}

void Case::choose_size(Bytes& bytes) {
  const std::uint8_t kind = bytes.byte();
  if (kind < 200) {
    batch_.n = 1 + bytes.below(24);
  } else if (kind < 253) {
    batch_.n = 1 + bytes.below(72);
  } else {
    batch_.n = 1 + bytes.byte() + bytes.below(10);
  }
  batch_.count = batch_.n <= 24   ? bytes.below(70)
                 : batch_.n <= 72 ? bytes.below(10)
                                  : bytes.below(3);
  if (bytes.below(3) > 0) return;
  for (std::size_t i = 0; i < batch_.count; ++i) {
    lengths_.push_back(static_cast<std::int64_t>(1 + bytes.below(batch_.n)));
  }
  batch_.lengths = lengths_.data();
}

void Case::choose_strides(Bytes& bytes) {
  const auto item = static_cast<std::ptrdiff_t>(item_), n = static_cast<std::ptrdiff_t>(batch_.n);
  const auto gap = [&] { return static_cast<std::ptrdiff_t>(bytes.below(3)); };
  const std::uint8_t layout = bytes.byte();
  batch_.col_stride = item;
  batch_.row_stride = n * item;
  if (layout & 1) {  // gaps
    batch_.col_stride *= 1 + gap();
    batch_.row_stride = n * batch_.col_stride + gap() * item;
  }
  batch_.batch_stride = n * batch_.row_stride + (layout & 1 ? gap() * item : 0);
  if (layout & 2) std::swap(batch_.row_stride, batch_.col_stride);
  if (layout & 4) batch_.batch_stride = -batch_.batch_stride;
  if (layout & 8) batch_.row_stride = -batch_.row_stride;
  if (layout & 16) batch_.col_stride = -batch_.col_stride;
  // Broadcast, and rows that overlap.
  if (layout >> 5 == 1) batch_.batch_stride = 0;
  if (layout >> 5 == 2) batch_.row_stride = 0;
  if (layout >> 5 == 3) batch_.col_stride = 0;
  if (layout >> 5 == 4) batch_.row_stride = item;
}

void Case::allocate(std::size_t misalignment) {
  std::ptrdiff_t first = 0, last = 0;
  const auto reach = [&](std::ptrdiff_t stride, std::size_t count) {
    const std::ptrdiff_t end = stride * static_cast<std::ptrdiff_t>(count - 1);
    (end < 0 ? first : last) += end;
  };
  if (batch_.count > 0) {
    reach(batch_.batch_stride, batch_.count);
    reach(batch_.row_stride, batch_.n);
    reach(batch_.col_stride, batch_.n);
  }
  const std::size_t elements = batch_.count ? static_cast<std::size_t>(last - first) + item_ : 0;
  block_ = std::make_unique<std::byte[]>(misalignment + elements);
  batch_.data = block_.get() + misalignment - first;
}

void Case::fill(Bytes& bytes) {
  Random random(bytes.word());
  const bool mixed = bytes.below(2) == 1;
  constexpr int exponents[] = {0, 0, 0, -1070, -1000, -660, 660, 1000, 1020};
  auto family = static_cast<Family>(bytes.below(kFamilyCount));
  int exponent = exponents[bytes.below(std::size(exponents))];
  for (std::size_t matrix = 0; matrix < batch_.count; ++matrix) {
    if (mixed) {
      family = static_cast<Family>(random.below(kFamilyCount));
      exponent = exponents[random.below(std::size(exponents))];
    }
    const Dense a = of_family(family, random, batch_.n);
    for (std::size_t i = 0; i < batch_.n; ++i) {
      for (std::size_t j = 0; j < batch_.n; ++j) {
        set(matrix, i, j, std::ldexp(a[i * batch_.n + j], exponent));
      }
    }
  }
}

void Case::spoil(Bytes& bytes) {
  constexpr double specials[] = {0.0,       -0.0,       1.0,
                                 -1.0,      1e-9,       1e-300,
                                 1e300,     -1e300,     1e-320,
                                 6e-8,      3e38,       1.7976931348623157e308,
                                 kInfinity, -kInfinity, std::numeric_limits<double>::quiet_NaN()};
  if (batch_.count == 0) return;
  for (std::size_t left = bytes.below(8); left > 0; --left) {
    const std::size_t matrix = bytes.below(batch_.count), row = bytes.below(batch_.n),
                      column = bytes.below(batch_.n);
    set(matrix, row, column, specials[bytes.below(std::size(specials))]);
  }
}

std::byte* Case::at(std::size_t matrix, std::size_t row, std::size_t column) const {
  const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(matrix) * batch_.batch_stride +
                                static_cast<std::ptrdiff_t>(row) * batch_.row_stride +
                                static_cast<std::ptrdiff_t>(column) * batch_.col_stride;
  return block_.get() + (batch_.data - block_.get()) + offset;
}

void Case::set(std::size_t matrix, std::size_t row, std::size_t column, double x) const {
  const float narrow = to_float(x);
  const auto brain = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(narrow) >> 16);
  const std::uint16_t half = to_half(x);
  const void* const forms[] = {&half, &brain, &narrow, &x};
  std::memcpy(at(matrix, row, column), forms[static_cast<std::size_t>(batch_.scalar)], item_);
}

double Case::entry(std::size_t matrix, std::size_t row, std::size_t column) const {
  const std::byte* const from = at(matrix, row, column);
  if (batch_.scalar == Scalar::float64) {
    double x = 0;
    std::memcpy(&x, from, sizeof x);
    return x;
  }
  std::uint32_t bits = 0;
  std::memcpy(&bits, from, item_);
  if (batch_.scalar == Scalar::float16) return from_half(static_cast<std::uint16_t>(bits));
  if (batch_.scalar == Scalar::bfloat16) bits <<= 16;
  return static_cast<double>(std::bit_cast<float>(bits));
}

void Case::describe(std::size_t matrix) const {
  constexpr const char* scalars[] = {"float16", "bfloat16", "float32", "float64"};
  constexpr const char* structures[] = {"auto", "causal", "dense"};
  constexpr const char* spectra[] = {"eigen", "singular"};
  std::fprintf(stderr, "%zu matrices of %s, n = %zu, strides %td %td %td; ", batch_.count,
               scalars[static_cast<std::size_t>(batch_.scalar)], batch_.n, batch_.batch_stride,
               batch_.row_stride, batch_.col_stride);
  std::fprintf(stderr, "structure %s, spectrum %s, computed in %s, level %s, %zu threads\n",
               structures[static_cast<std::size_t>(structure)],
               spectra[static_cast<std::size_t>(spectrum)], in_float ? "float" : "double", level,
               threads);
  constexpr std::size_t largest_shown = 12;
  const std::size_t n = length(matrix);
  std::fprintf(stderr, "matrix %zu of size %zu%s\n", matrix, n, n > largest_shown ? "" : ":");
  for (std::size_t i = 0; i < n && n <= largest_shown; ++i) {
    for (std::size_t j = 0; j < n; ++j) std::fprintf(stderr, " %.17g", entry(matrix, i, j));
    std::fprintf(stderr, "\n");
  }
}

}  // namespace eigencore::fuzz
