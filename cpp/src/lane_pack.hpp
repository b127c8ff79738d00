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

/// How elements of one type stand in memory, and L of them as numbers of type T.
template <class T, Scalar scalar>
struct Element;

template <class T>
struct Element<T, Scalar::float64> {
  using Stored = double;
  typedef Stored Few __attribute__((vector_size(Register<T>::lanes * sizeof(Stored))));
  static EIGENCORE_INLINE typename Register<T>::Value widen(const Few& x) {
    return __builtin_convertvector(x, typename Register<T>::Value);
  }
};

template <class T>
struct Element<T, Scalar::float32> {
  using Stored = float;
  typedef Stored Few __attribute__((vector_size(Register<T>::lanes * sizeof(Stored))));
  static EIGENCORE_INLINE typename Register<T>::Value widen(const Few& x) {
    return __builtin_convertvector(x, typename Register<T>::Value);
  }
};

/// 16 bits of either kind become the float32 of the same value, then T.
template <class T>
struct Bits16 {
  using Stored = std::uint16_t;
  typedef Stored Few __attribute__((vector_size(Register<T>::lanes * sizeof(Stored))));
  typedef std::int32_t Bits __attribute__((vector_size(Register<T>::lanes * sizeof(float))));
  typedef float Floats __attribute__((vector_size(Register<T>::lanes * sizeof(float))));
};

template <class T>
struct Element<T, Scalar::bfloat16> : Bits16<T> {
  using typename Bits16<T>::Few, typename Bits16<T>::Bits, typename Bits16<T>::Floats;
  static EIGENCORE_INLINE typename Register<T>::Value widen(const Few& x) {
    const Floats wide = (Floats)(__builtin_convertvector(x, Bits) << 16);
    return __builtin_convertvector(wide, typename Register<T>::Value);
  }
};

template <class T>
struct Element<T, Scalar::float16> : Bits16<T> {
  using typename Bits16<T>::Few, typename Bits16<T>::Bits, typename Bits16<T>::Floats;
  static EIGENCORE_INLINE typename Register<T>::Value widen(const Few& x) {
    const Bits bits = __builtin_convertvector(x, Bits), magnitude = bits & 0x7fff;
    // The exponents differ by 112; the product makes subnormal numbers normal too.
    const Floats finite = (Floats)(magnitude << 13) * 0x1p112f;
    const Bits special = (magnitude << 13) | 0x7f800000;
    const Bits wide = magnitude >= 0x7c00 ? special : (Bits)finite;
    const Floats signed_wide = (Floats)(wide | ((bits & 0x8000) << 16));
    return __builtin_convertvector(signed_wide, typename Register<T>::Value);
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
    switch (source.scalar) {
      case Scalar::float16:
        return fill_from<Element<T, Scalar::float16>>(source, a);
      case Scalar::bfloat16:
        return fill_from<Element<T, Scalar::bfloat16>>(source, a);
      case Scalar::float32:
        return fill_from<Element<T, Scalar::float32>>(source, a);
      case Scalar::float64:
        return fill_from<Element<T, Scalar::float64>>(source, a);
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

  template <class From>
  static void fill_from(const LaneSource& source, const LaneMatrix<T, K>& a) {
    using Stored = typename From::Stored;
    const std::size_t n = source.n;
    const bool contiguous = source.row_stride == static_cast<std::ptrdiff_t>(n * sizeof(Stored));
    const std::size_t runs = contiguous ? 1 : n, length = contiguous ? n * n : n;
    for (std::size_t run = 0; run < runs; ++run) {
      for (std::size_t r = 0; r < K; ++r) {
        const std::byte* from[L];
        for (std::size_t l = 0; l < L; ++l) {
          const std::size_t lane = r * L + l;
          from[l] = source.matrices[lane < source.count ? lane : 0] +
                    static_cast<std::ptrdiff_t>(run) * source.row_stride;
        }
        fill_register<From>(from, length, n, a.at(run, 0) + r * L, a.stride);
      }
    }
  }

  /// One register's lanes of `length` consecutive entries, of which every n make a row.
  template <class From>
  static void fill_register(const std::byte* const* from, std::size_t length, std::size_t n, T* to,
                            std::size_t stride) {
    using Value = typename Register<T>::Value;
    constexpr std::size_t size = sizeof(typename From::Stored);
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
      EIGENCORE_EACH(l, L) {
        typename From::Few neighbours;
        __builtin_memcpy(&neighbours, from[l] + e * size, sizeof neighbours);
        rows[l] = From::widen(neighbours);
      }
      Transpose<T>::template swap_blocks<1>(rows);
      EIGENCORE_EACH(l, L) put(rows[l]);
    }
    for (; e < length; ++e) {
      typename From::Few lanes;
      for (std::size_t l = 0; l < L; ++l) {
        typename From::Stored x;
        __builtin_memcpy(&x, from[l] + e * size, size);
        lanes[l] = x;
      }
      put(From::widen(lanes));
    }
  }
};

}  // namespace eigencore::EIGENCORE_LEVEL
