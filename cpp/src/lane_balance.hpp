#pragma once

// Balancing on lanes, after Parlett and Reinsch: rows are scaled against columns by powers of two
// until their norms agree. Sharp attention leaves columns with hardly any weight; unbalanced, its
// small eigenvalues lose three digits at n = 20.

#include "lane_matrix.hpp"

namespace eigencore::EIGENCORE_LEVEL {

template <class T, std::size_t K>
class Balancing {
  using V = Lanes<T, K>;
  using M = Mask<T, K>;
  static constexpr std::size_t W = V::width;
  /// Norms that agree within this factor are left alone.
  static constexpr T kAgreement = 8;
  /// Beyond this the range of T is at stake.
  static constexpr T kBeyondLanes = sizeof(T) == 8 ? T(0x1p200) : T(0x1p40);
  static constexpr int kPasses = 12;

 public:
  /// a: n x n. work: (2 n, W). Returns the lanes that are unbalanced beyond what is safe here, and
  /// leaves them as they are for all that it matters.
  static M run(const LaneMatrix<T, K>& a, std::size_t n, T* work) {
    Norms norms{work, work + n * W};
    norms.measure(a, n);
    const M hopeless = differ(norms, n, kBeyondLanes);
    // Lanes decide for themselves: what one matrix gives must not depend on its neighbours.
    const M needed = differ(norms, n, kAgreement);
    if (none(needed)) return hopeless;
    for (int pass = 0; pass < kPasses; ++pass) {
      bool changed = false;
      for (std::size_t i = 0; i < n; ++i) changed |= balance_index(a, n, i, needed);
      if (!changed) break;
    }
    return hopeless;
  }

 private:
  /// Sums of absolute values off the diagonal, of each row and column.
  struct Norms {
    T *rows, *columns;

    void measure(const LaneMatrix<T, K>& a, std::size_t n) const {
      for (std::size_t j = 0; j < n; ++j) V(T(0)).store(columns + j * W);
      for (std::size_t i = 0; i < n; ++i) {
        V row(T(0));
        for (std::size_t j = 0; j < n; ++j) {
          if (i == j) continue;
          const V x = abs(a.get(i, j));
          row = row + x;
          (V::load(columns + j * W) + x).store(columns + j * W);
        }
        row.store(rows + i * W);
      }
    }
  };

  static M differ(const Norms& norms, std::size_t n, T factor) {
    const V zero(T(0)), limit(factor);
    M found = zero < zero;
    for (std::size_t i = 0; i < n; ++i) {
      const V row = V::load(norms.rows + i * W), column = V::load(norms.columns + i * W);
      found = found | (limit * min(row, column) < max(row, column));
    }
    return found;
  }

  static bool balance_index(const LaneMatrix<T, K>& a, std::size_t n, std::size_t i,
                            const M& needed) {
    const V zero(T(0)), one(T(1));
    V row(T(0)), column(T(0));
    for (std::size_t j = 0; j < n; ++j) {
      if (i == j) continue;
      row = row + abs(a.get(i, j));
      column = column + abs(a.get(j, i));
    }
    const M both = needed & (zero < row) & (zero < column);
    const V up = half_of(exponent_of(row) - exponent_of(column));
    const V factor = power_of_two(up), inverse = power_of_two(-up);
    const M gains = both & (column * factor + row * inverse < V(T(0.95)) * (row + column));
    if (none(gains)) return false;
    const V down = select(gains, inverse, one), upwards = select(gains, factor, one);
    for (std::size_t j = 0; j < n; ++j) {
      if (i == j) continue;
      a.set(i, j, a.get(i, j) * down);
      a.set(j, i, a.get(j, i) * upwards);
    }
    return true;
  }

  static V half_of(const V& exponent) {
    V half;
    for (std::size_t r = 0; r < K; ++r) {
      half.v[r] = __builtin_convertvector(
          __builtin_convertvector(exponent.v[r] * T(0.5), typename Register<T>::Bits),
          typename Register<T>::Value);
    }
    return half;
  }
};

}  // namespace eigencore::EIGENCORE_LEVEL
