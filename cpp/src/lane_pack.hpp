#pragma once

// From W matrices in memory to lanes: transposes in registers, and what must be known of each lane
// before it is solved.

#include "lane_kernels.hpp"
#include "lane_matrix.hpp"

namespace eigencore::EIGENCORE_LEVEL {

/// The transpose of L x L numbers in L registers, by swapping blocks of 1, 2, 4, ...
template <class T>
struct Transpose {
  static constexpr std::size_t L = Register<T>::lanes;
  using Value = typename Register<T>::Value;

  template <std::size_t H>
  static EIGENCORE_INLINE void swap_blocks(Value* rows) {
    _Pragma("GCC unroll 16") for (std::size_t i = 0; i < L; ++i) {
      if (i & H) continue;
      const Value a = rows[i], b = rows[i + H];
      rows[i] = merged<H, false>(a, b, std::make_index_sequence<L>());
      rows[i + H] = merged<H, true>(a, b, std::make_index_sequence<L>());
    }
    if constexpr (2 * H < L) swap_blocks<2 * H>(rows);
  }

 private:
  /// The low (high) blocks of H lanes of a and, behind each, those of b.
  template <std::size_t H, bool high, std::size_t... k>
  static EIGENCORE_INLINE Value merged(const Value& a, const Value& b, std::index_sequence<k...>) {
    return __builtin_shufflevector(a, b,
                                   (high ? (k & H ? L + k : k + H) : (k & H ? L + k - H : k))...);
  }
};

template <class T, std::size_t K>
class Packing {
  using V = Lanes<T, K>;
  using M = Mask<T, K>;
  static constexpr std::size_t W = V::width, L = Register<T>::lanes;

 public:
  /// Fills the lanes of `a`, as they stand.
  static void fill(const LaneSource& source, const LaneMatrix<T, K>& a) {
    if (source.scalar == Scalar::float32) {
      fill_from<float>(source, a);
    } else {
      fill_from<double>(source, a);
    }
  }

  /// Screens each lane, and takes a power of two out of it so that its largest entry is in [1, 2).
  /// Lanes that hold NaN or infinity become the identity. Writes facts (W,), and returns the
  /// powers.
  static V screen(const LaneMatrix<T, K>& a, std::size_t n, std::uint8_t* facts) {
    const V zero(T(0));
    V largest(T(0)), not_finite(T(0));
    M zeros = zero < zero;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        const V x = a.get(i, j);
        not_finite = not_finite + (x - x);  // 0, or NaN for ever
        largest = max(abs(x), largest);
        if (i != j) zeros = zeros | (x == zero);
      }
    }
    const M bad = ~(not_finite == zero);
    if (any(bad)) {
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) store_where(bad, V(i == j ? T(1) : T(0)), a.at(i, j));
      }
      largest = select(bad, V(T(1)), largest);
    }
    for (std::size_t lane = 0; lane < W; ++lane) facts[lane] = 0;
    mark(bad, kLaneNonFinite, facts);
    mark(zeros & ~bad, kLaneHasZeros, facts);
    return scale_to_one(a, n, largest);
  }

  static void mark(const M& mask, std::uint8_t fact, std::uint8_t* facts) {
    if (none(mask)) return;
    for (std::size_t r = 0; r < K; ++r) {
      for (std::size_t l = 0; l < L; ++l) {
        if (mask.bits[r][l]) facts[r * L + l] |= fact;
      }
    }
  }

 private:
  /// Divides by 2**e with e the exponent of the largest entry; returns e.
  static V scale_to_one(const LaneMatrix<T, K>& a, std::size_t n, const V& largest) {
    const V exponent = exponent_of(largest);
    if (none(~(exponent == V(T(0))))) return exponent;
    V first, second;
    power_of_two_in_halves(-exponent, first, second);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) a.set(i, j, a.get(i, j) * first * second);
    }
    return exponent;
  }

  template <class Element>
  static void fill_from(const LaneSource& source, const LaneMatrix<T, K>& a) {
    const std::size_t n = source.n;
    const bool contiguous = source.row_stride == static_cast<std::ptrdiff_t>(n * sizeof(Element));
    const std::size_t runs = contiguous ? 1 : n, length = contiguous ? n * n : n;
    for (std::size_t run = 0; run < runs; ++run) {
      for (std::size_t r = 0; r < K; ++r) {
        const Element* from[L];
        for (std::size_t l = 0; l < L; ++l) {
          const std::size_t lane = r * L + l;
          const std::byte* base = source.matrices[lane < source.count ? lane : 0];
          from[l] = reinterpret_cast<const Element*>(base + static_cast<std::ptrdiff_t>(run) *
                                                                source.row_stride);
        }
        fill_register(from, length, n, a.at(run, 0) + r * L, a.stride);
      }
    }
  }

  /// One register's lanes of `length` consecutive entries, of which every n make a row.
  template <class Element>
  static void fill_register(const Element* const* from, std::size_t length, std::size_t n, T* to,
                            std::size_t stride) {
    using Value = typename Register<T>::Value;
    std::size_t column = 0;
    T* row = to;
    const auto put = [&](const Value& x) {
      *reinterpret_cast<Value*>(row + column * W) = x;
      if (++column == n) {
        column = 0;
        row += stride * W;
      }
    };
    std::size_t e = 0;
    for (; e + L <= length; e += L) {
      Value rows[L];
      _Pragma("GCC unroll 16") for (std::size_t l = 0; l < L; ++l) {
        rows[l] = load_converted(from[l] + e);
      }
      Transpose<T>::template swap_blocks<1>(rows);
      _Pragma("GCC unroll 16") for (std::size_t l = 0; l < L; ++l) put(rows[l]);
    }
    for (; e < length; ++e) {
      Value x;
      for (std::size_t l = 0; l < L; ++l) x[l] = static_cast<T>(from[l][e]);
      put(x);
    }
  }

  /// L neighbours in memory, of any alignment.
  template <class Element>
  static EIGENCORE_INLINE typename Register<T>::Value load_converted(const Element* from) {
    typedef Element Loaded __attribute__((vector_size(Register<T>::lanes * sizeof(Element))));
    Loaded x;
    __builtin_memcpy(&x, from, sizeof x);
    return __builtin_convertvector(x, typename Register<T>::Value);
  }
};

}  // namespace eigencore::EIGENCORE_LEVEL
