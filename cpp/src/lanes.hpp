#pragma once

// W matrices side by side in SIMD registers: Lanes<T, K> holds one number of each of W matrices in
// K registers, and reads like a number. Written with the compiler's vector types, so that one
// source serves every instruction set; which one is decided by the flags of the file that includes
// this, which must say so:
//   EIGENCORE_LEVEL           namespace of the level, such as x86_64_v3
//   EIGENCORE_REGISTER_BYTES  16, 32 or 64
// Everything here is in that namespace and inlined: nothing that was compiled for one level can be
// linked into another. No std:: functions, for the same
// reason.

#include <cstddef>
#include <cstdint>
#include <utility>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if !defined(EIGENCORE_LEVEL) || !defined(EIGENCORE_REGISTER_BYTES)
#error "compile through kernels_arch.cpp, which the build gives its level"
#endif

#define EIGENCORE_INLINE inline __attribute__((always_inline))
#define EIGENCORE_INLINE_LAMBDA __attribute__((always_inline))

namespace eigencore::EIGENCORE_LEVEL {

template <class T>
struct BitsOf;
template <>
struct BitsOf<double> {
  using Int = std::int64_t;
  static constexpr int mantissa = 52, bias = 1023;
};
template <>
struct BitsOf<float> {
  using Int = std::int32_t;
  static constexpr int mantissa = 23, bias = 127;
};

template <class T>
struct Limits;
template <>
struct Limits<double> {
  static constexpr double epsilon = 0x1p-52, smallest_normal = 0x1p-1022,
                          largest = 0x1.fffffffffffffp1023;
  /// Its square is normal: what is below, in a matrix scaled to 1, is zero.
  static constexpr double negligible = 0x1p-480;
};
template <>
struct Limits<float> {
  static constexpr float epsilon = 0x1p-23f, smallest_normal = 0x1p-126f, largest = 0x1.fffffep127f;
  static constexpr float negligible = 0x1p-60f;
};

template <class T>
struct Register {
  static constexpr std::size_t lanes = EIGENCORE_REGISTER_BYTES / sizeof(T);
  typedef T Value __attribute__((vector_size(EIGENCORE_REGISTER_BYTES), may_alias));
  typedef typename BitsOf<T>::Int Bits __attribute__((vector_size(EIGENCORE_REGISTER_BYTES)));
};

#define EIGENCORE_EACH_REGISTER _Pragma("GCC unroll 8") for (std::size_t r = 0; r < K; ++r)

/// i = 0 ... N - 1, written out.
#define EIGENCORE_EACH(i, N) _Pragma("GCC unroll 16") for (std::size_t i = 0; i < (N); ++i)

/// Registers that the instruction set has.
#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr std::size_t kRegisters = 32;
#else
inline constexpr std::size_t kRegisters = 16;
#endif

/// One truth value for each lane: all bits or none.
template <class T, std::size_t K>
struct Mask {
  typename Register<T>::Bits bits[K];

  friend EIGENCORE_INLINE Mask operator&(Mask a, const Mask& b) {
    EIGENCORE_EACH_REGISTER a.bits[r] &= b.bits[r];
    return a;
  }
  friend EIGENCORE_INLINE Mask operator|(Mask a, const Mask& b) {
    EIGENCORE_EACH_REGISTER a.bits[r] |= b.bits[r];
    return a;
  }
  friend EIGENCORE_INLINE Mask operator~(Mask a) {
    EIGENCORE_EACH_REGISTER a.bits[r] = ~a.bits[r];
    return a;
  }
};

/// Whether any bit is set in a register of all-or-none lanes.
template <class Bits>
EIGENCORE_INLINE bool any_bit(const Bits& bits) {
#if EIGENCORE_REGISTER_BYTES == 64
  return _mm512_test_epi32_mask((__m512i)bits, (__m512i)bits) != 0;
#elif EIGENCORE_REGISTER_BYTES == 32
  return !_mm256_testz_si256((__m256i)bits, (__m256i)bits);
#elif defined(__SSE2__)
  return _mm_movemask_epi8((__m128i)bits) != 0;
#else
  std::uint64_t parts[sizeof(Bits) / sizeof(std::uint64_t)], found = 0;
  __builtin_memcpy(parts, &bits, sizeof parts);
  for (const std::uint64_t part : parts) found |= part;
  return found != 0;
#endif
}

template <class T, std::size_t K>
EIGENCORE_INLINE bool any(const Mask<T, K>& mask) {
  auto bits = mask.bits[0];
  _Pragma("GCC unroll 8") for (std::size_t r = 1; r < K; ++r) bits |= mask.bits[r];
  return any_bit(bits);
}

template <class T, std::size_t K>
EIGENCORE_INLINE bool none(const Mask<T, K>& mask) {
  return !any(mask);
}

/// One number for each lane.
template <class T, std::size_t K>
struct Lanes {
  using M = Mask<T, K>;
  using Int = typename BitsOf<T>::Int;
  using Value = typename Register<T>::Value;
  using Bits = typename Register<T>::Bits;
  static constexpr std::size_t width = K * Register<T>::lanes;

  Value v[K];

  Lanes() = default;
  EIGENCORE_INLINE Lanes(T x) { EIGENCORE_EACH_REGISTER v[r] = x - Value{}; }

  static EIGENCORE_INLINE Lanes load(const T* from) {
    Lanes x;
    EIGENCORE_EACH_REGISTER x.v[r] = reinterpret_cast<const Value*>(from)[r];
    return x;
  }
  EIGENCORE_INLINE void store(T* to) const {
    EIGENCORE_EACH_REGISTER reinterpret_cast<Value*>(to)[r] = v[r];
  }

  friend EIGENCORE_INLINE Lanes operator+(Lanes a, const Lanes& b) {
    EIGENCORE_EACH_REGISTER a.v[r] += b.v[r];
    return a;
  }
  friend EIGENCORE_INLINE Lanes operator-(Lanes a, const Lanes& b) {
    EIGENCORE_EACH_REGISTER a.v[r] -= b.v[r];
    return a;
  }
  friend EIGENCORE_INLINE Lanes operator*(Lanes a, const Lanes& b) {
    EIGENCORE_EACH_REGISTER a.v[r] *= b.v[r];
    return a;
  }
  friend EIGENCORE_INLINE Lanes operator/(Lanes a, const Lanes& b) {
    EIGENCORE_EACH_REGISTER a.v[r] /= b.v[r];
    return a;
  }
  friend EIGENCORE_INLINE Lanes operator-(Lanes a) {
    EIGENCORE_EACH_REGISTER a.v[r] = -a.v[r];
    return a;
  }
  friend EIGENCORE_INLINE M operator<(const Lanes& a, const Lanes& b) {
    M m;
    EIGENCORE_EACH_REGISTER m.bits[r] = (Bits)(a.v[r] < b.v[r]);
    return m;
  }
  friend EIGENCORE_INLINE M operator<=(const Lanes& a, const Lanes& b) {
    M m;
    EIGENCORE_EACH_REGISTER m.bits[r] = (Bits)(a.v[r] <= b.v[r]);
    return m;
  }
  friend EIGENCORE_INLINE M operator==(const Lanes& a, const Lanes& b) {
    M m;
    EIGENCORE_EACH_REGISTER m.bits[r] = (Bits)(a.v[r] == b.v[r]);
    return m;
  }
};

/// Where `mask`, a; elsewhere b.
template <class T, std::size_t K>
EIGENCORE_INLINE Lanes<T, K> select(const Mask<T, K>& mask, Lanes<T, K> a, const Lanes<T, K>& b) {
  EIGENCORE_EACH_REGISTER a.v[r] = mask.bits[r] ? a.v[r] : b.v[r];
  return a;
}

template <class T, std::size_t K>
EIGENCORE_INLINE Lanes<T, K> zero_unless(const Mask<T, K>& mask, Lanes<T, K> a) {
  return select(mask, a, Lanes<T, K>(T(0)));
}

/// Changes memory where `mask`.
template <class T, std::size_t K>
EIGENCORE_INLINE void store_where(const Mask<T, K>& mask, const Lanes<T, K>& a, T* to) {
  select(mask, a, Lanes<T, K>::load(to)).store(to);
}

template <class T, std::size_t K>
EIGENCORE_INLINE Lanes<T, K> abs(Lanes<T, K> a) {
  using Bits = typename Register<T>::Bits;
  constexpr auto all_but_sign =
      static_cast<typename BitsOf<T>::Int>(~(std::uint64_t{1} << (8 * sizeof(T) - 1)));
  EIGENCORE_EACH_REGISTER a.v[r] =
      (typename Register<T>::Value)((Bits)a.v[r] & (all_but_sign - Bits{}));
  return a;
}

/// |magnitude| with the sign of `sign`.
template <class T, std::size_t K>
EIGENCORE_INLINE Lanes<T, K> copysign(Lanes<T, K> magnitude, const Lanes<T, K>& sign) {
  using Bits = typename Register<T>::Bits;
  constexpr auto all_but_sign =
      static_cast<typename BitsOf<T>::Int>(~(std::uint64_t{1} << (8 * sizeof(T) - 1)));
  EIGENCORE_EACH_REGISTER {
    const Bits rest = all_but_sign - Bits{};
    magnitude.v[r] =
        (typename Register<T>::Value)(((Bits)magnitude.v[r] & rest) | ((Bits)sign.v[r] & ~rest));
  }
  return magnitude;
}

template <class T, std::size_t K>
EIGENCORE_INLINE Lanes<T, K> max(Lanes<T, K> a, const Lanes<T, K>& b) {
  EIGENCORE_EACH_REGISTER a.v[r] = a.v[r] > b.v[r] ? a.v[r] : b.v[r];
  return a;
}

template <class T, std::size_t K>
EIGENCORE_INLINE Lanes<T, K> min(Lanes<T, K> a, const Lanes<T, K>& b) {
  EIGENCORE_EACH_REGISTER a.v[r] = a.v[r] < b.v[r] ? a.v[r] : b.v[r];
  return a;
}

/// A product as it rounds alone: no fused operation is made of it and the sum that follows, so that
/// it is the same wherever it stands.
template <class T, std::size_t K>
EIGENCORE_INLINE Lanes<T, K> rounded(Lanes<T, K> a) {
#if __has_builtin(__builtin_assoc_barrier)
  EIGENCORE_EACH_REGISTER a.v[r] = __builtin_assoc_barrier(a.v[r]);
#elif __has_builtin(__arithmetic_fence)
  EIGENCORE_EACH_REGISTER a.v[r] = __arithmetic_fence(a.v[r]);
#endif
  return a;
}

EIGENCORE_INLINE double scalar_sqrt(double x) { return __builtin_sqrt(x); }
EIGENCORE_INLINE float scalar_sqrt(float x) { return __builtin_sqrtf(x); }

/// One instruction. The compiler finds it in a loop over lanes too, but not everywhere.
EIGENCORE_INLINE Register<double>::Value register_sqrt(Register<double>::Value x) {
#if EIGENCORE_REGISTER_BYTES == 64
  return (Register<double>::Value)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif EIGENCORE_REGISTER_BYTES == 32
  return (Register<double>::Value)_mm256_sqrt_pd((__m256d)x);
#elif defined(__SSE2__)
  return (Register<double>::Value)_mm_sqrt_pd((__m128d)x);
#else
  for (std::size_t l = 0; l < Register<double>::lanes; ++l) x[l] = scalar_sqrt(x[l]);
  return x;
#endif
}
EIGENCORE_INLINE Register<float>::Value register_sqrt(Register<float>::Value x) {
#if EIGENCORE_REGISTER_BYTES == 64
  return (Register<float>::Value)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif EIGENCORE_REGISTER_BYTES == 32
  return (Register<float>::Value)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
  return (Register<float>::Value)_mm_sqrt_ps((__m128)x);
#else
  for (std::size_t l = 0; l < Register<float>::lanes; ++l) x[l] = scalar_sqrt(x[l]);
  return x;
#endif
}

template <class T, std::size_t K>
EIGENCORE_INLINE Lanes<T, K> sqrt(Lanes<T, K> a) {
  EIGENCORE_EACH_REGISTER a.v[r] = register_sqrt(a.v[r]);
  return a;
}

template <std::size_t step, class Value, std::size_t... l>
EIGENCORE_INLINE Value turned(const Value& x, std::index_sequence<l...>) {
  return __builtin_shufflevector(x, x, (l + step) % sizeof...(l)...);
}

/// The largest of a register's lanes in each of them: each against the one `step` further on.
template <std::size_t step, class T>
EIGENCORE_INLINE typename Register<T>::Value largest_of_register(typename Register<T>::Value x) {
  const auto y = turned<step>(x, std::make_index_sequence<Register<T>::lanes>());
  x = x > y ? x : y;
  if constexpr (step > 1) return largest_of_register<step / 2, T>(x);
  return x;
}

template <class T, std::size_t K>
EIGENCORE_INLINE T largest_lane(const Lanes<T, K>& a) {
  typename Register<T>::Value x = a.v[0];
  _Pragma("GCC unroll 8") for (std::size_t r = 1; r < K; ++r) x = x > a.v[r] ? x : a.v[r];
  return largest_of_register<Register<T>::lanes / 2, T>(x)[0];
}

template <class T, std::size_t K>
EIGENCORE_INLINE T smallest_lane(const Lanes<T, K>& a) {
  return -largest_lane(-a);
}

/// Whole numbers of either kind, below 2**51, as the other. Few levels have an instruction for 64
/// bits; added to 1.5 * 2**52 they are the low bits of the sum.
EIGENCORE_INLINE Register<double>::Value as_float(Register<double>::Bits x) {
  return (Register<double>::Value)(x + 0x4338000000000000) - 0x1.8p52;
}
EIGENCORE_INLINE Register<double>::Bits as_whole(Register<double>::Value x) {
  return (Register<double>::Bits)(x + 0x1.8p52) - 0x4338000000000000;
}
EIGENCORE_INLINE Register<float>::Value as_float(Register<float>::Bits x) {
  return __builtin_convertvector(x, Register<float>::Value);
}
EIGENCORE_INLINE Register<float>::Bits as_whole(Register<float>::Value x) {
  return __builtin_convertvector(x, Register<float>::Bits);
}

/// The e of 2**e <= a < 2**(e + 1); for zero and subnormal numbers that of half the smallest normal
/// one.
template <class T, std::size_t K>
EIGENCORE_INLINE Lanes<T, K> exponent_of(const Lanes<T, K>& a) {
  using R = Register<T>;
  Lanes<T, K> e;
  EIGENCORE_EACH_REGISTER {
    const auto biased =
        ((typename R::Bits)a.v[r] >> BitsOf<T>::mantissa) & (2 * BitsOf<T>::bias + 1);
    e.v[r] = as_float(biased) - T(BitsOf<T>::bias);
  }
  return e;
}

/// The e of a = m 2**e with m about sqrt(1/2) ... sqrt(2); a is positive and normal.
template <std::size_t K>
EIGENCORE_INLINE Lanes<double, K> exponent_around_one(const Lanes<double, K>& a,
                                                      Lanes<double, K>& m) {
  using R = Register<double>;
  constexpr std::int64_t one = 0x3ff0000000000000, root_of_half = 0x3fe6a09e667f3bcd;
  Lanes<double, K> e;
  EIGENCORE_EACH_REGISTER {
    const auto bits = (R::Bits)a.v[r];
    const auto raised = bits + (one - root_of_half);
    e.v[r] = as_float((raised >> 52) - 1023);
    m.v[r] = (R::Value)(bits - ((raised & 0x7ff0000000000000) - one));
  }
  return e;
}

/// 2**e for whole e within the normal range.
template <class T, std::size_t K>
EIGENCORE_INLINE Lanes<T, K> power_of_two(const Lanes<T, K>& e) {
  using R = Register<T>;
  Lanes<T, K> x;
  EIGENCORE_EACH_REGISTER {
    const auto biased = as_whole(e.v[r]) + BitsOf<T>::bias;
    x.v[r] = (typename R::Value)(biased << BitsOf<T>::mantissa);
  }
  return x;
}

/// Two factors whose product is 2**e, for whole e of up to twice the normal range.
template <class T, std::size_t K>
EIGENCORE_INLINE void power_of_two_in_halves(const Lanes<T, K>& e, Lanes<T, K>& first,
                                             Lanes<T, K>& second) {
  Lanes<T, K> half;
  EIGENCORE_EACH_REGISTER half.v[r] = as_float(as_whole(e.v[r] * T(0.5)));
  first = power_of_two(half);
  second = power_of_two(e - half);
}

/// Batcher's odd-even merge sort as a list of comparators: calls exchange(i, j) for i < j, after
/// which what stands at i must come before what stands at j.
template <class Exchange>
EIGENCORE_INLINE constexpr void sorting_network(std::size_t n, const Exchange& exchange) {
  for (std::size_t p = 1, shift = 1; p < n; p *= 2, ++shift) {
    for (std::size_t k = p; k >= 1; k /= 2) {
      for (std::size_t j = k % p; j + k < n; j += 2 * k) {
        for (std::size_t i = j; i < j + k && i + k < n; ++i) {
          if (i >> shift == (i + k) >> shift) exchange(i, i + k);
        }
      }
    }
  }
}

/// The comparators for N values.
template <std::size_t N>
struct Comparators {
  std::size_t count = 0, first[N * N] = {}, second[N * N] = {};
  constexpr Comparators() {
    sorting_network(N, [this](std::size_t i, std::size_t j) {
      first[count] = i;
      second[count++] = j;
    });
  }
};

template <std::size_t N, std::size_t... c, class Exchange>
EIGENCORE_INLINE void exchange_each(std::index_sequence<c...>, const Exchange& exchange) {
  constexpr Comparators<N> comparators;
  (exchange(comparators.first[c], comparators.second[c]), ...);
}

/// sorting_network written out.
template <std::size_t N, class Exchange>
EIGENCORE_INLINE void sorting_network_of(const Exchange& exchange) {
  exchange_each<N>(std::make_index_sequence<Comparators<N>().count>(), exchange);
}

}  // namespace eigencore::EIGENCORE_LEVEL
