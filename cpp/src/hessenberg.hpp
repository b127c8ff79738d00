#pragma once

// W general matrices to Hessenberg form, in lockstep, by Householder reflectors. After Golub & Van
// Loan, Matrix Computations, 4th ed., 7.4.3.

#include "lane_matrix.hpp"

namespace eigencore::EIGENCORE_LEVEL {

template <class T, std::size_t K>
class HessenbergReduction {
  using V = Lanes<T, K>;
  static constexpr std::size_t W = V::width;

 public:
  /// Numbers of T that the work space holds.
  static std::size_t workspace(std::size_t n) { return 6 * n * W; }

  /// a: n x n, overwritten by the Hessenberg matrix.
  static void run(const LaneMatrix<T, K>& a, std::size_t n, T* work) {
    HessenbergReduction{a, n}.reduce(work);
  }

 private:
  const LaneMatrix<T, K> a;
  const std::size_t n;

  HessenbergReduction(const LaneMatrix<T, K>& a, std::size_t n) : a(a), n(n) {}

  /// Rows that one pass over memory takes together, so that vectors along the rows are read once
  /// for all of them.
  static constexpr std::size_t kRows = kRegisters >= 32 || K == 1 ? 4 : 2;

  /// What a reflector I - tau v v^T makes of the trailing block B = A[k + 1:, k + 1:]:
  /// B - y v^T - v w^T. Vectors of n numbers, of which n - k - 1 count.
  struct TwoSided {
    T *v, *w, *y;
    V tau;
  };

  /// Both sides of a reflector are applied together, and the pass that
  /// updates the trailing block reads from it what the next reflector needs.
  void reduce(T* work) const {
    TwoSided now{work, work + n * W, work + 2 * n * W, V(T(0))};
    TwoSided next{work + 3 * n * W, work + 4 * n * W, work + 5 * n * W, V(T(0))};
    if (n < 3) return;
    find_reflector(0, now);
    for (std::size_t i = 1; i < n;) i += read_rows(0, i, now);
    for (std::size_t k = 0; k + 2 < n; ++k) {
      const std::size_t m = n - k - 1;
      complete(m, now);
      for (std::size_t i = 0; i <= k;) i += rows_from_right(i, k, now);
      update_edges(k, now);
      if (k + 3 < n) find_reflector(k + 1, next);
      for (std::size_t i = k + 2; i < n;) i += update_and_read_rows(k, i, now, next);
      const TwoSided done = now;
      now = next;
      next = done;
    }
  }

  /// The reflector that clears column k below the subdiagonal; w is set to zero.
  void find_reflector(std::size_t k, TwoSided& h) const {
    const std::size_t m = n - k - 1;
    V tail(T(0));
    for (std::size_t i = k + 2; i < n; ++i) tail = a.get(i, k) * a.get(i, k) + tail;
    const auto found = reflector(a.get(k + 1, k), tail);
    V(T(1)).store(h.v);
    for (std::size_t i = 1; i < m; ++i) {
      (a.get(k + 1 + i, k) * found.inverse).store(h.v + i * W);
      a.set(k + 1 + i, k, V(T(0)));
    }
    a.set(k + 1, k, found.beta);
    h.tau = found.tau;
    for (std::size_t i = 0; i < m; ++i) V(T(0)).store(h.w + i * W);
  }

  /// From w = B^T v and y = B v to w and y as TwoSided has them.
  static void complete(std::size_t m, const TwoSided& h) {
    V both(T(0));  // v^T B v
    for (std::size_t i = 0; i < m; ++i) both = V::load(h.y + i * W) * V::load(h.v + i * W) + both;
    const V half = h.tau * h.tau * both * V(T(0.5));
    for (std::size_t i = 0; i < m; ++i) {
      const V v = half * V::load(h.v + i * W);
      (h.tau * V::load(h.w + i * W) - v).store(h.w + i * W);
      (h.tau * V::load(h.y + i * W) - v).store(h.y + i * W);
    }
  }

  /// Adds rows from i on to w = B^T v and y = B v. Returns how many rows it took.
  std::size_t read_rows(std::size_t k, std::size_t i, const TwoSided& h) const {
    if (i + kRows > n) return read<1>(k, i, h);
    return read<kRows>(k, i, h);
  }
  template <std::size_t R>
  EIGENCORE_INLINE std::size_t read(std::size_t k, std::size_t i, const TwoSided& h) const {
    const std::size_t m = n - k - 1, at = i - k - 1;
    V v[R], dot[R];
    EIGENCORE_EACH(r, R) {
      v[r] = V::load(h.v + (at + r) * W);
      dot[r] = V(T(0));
    }
    const T* const row = a.at(i, k + 1);
    for (std::size_t j = 0; j < m; ++j) {
      const V vj = V::load(h.v + j * W);
      V w = V::load(h.w + j * W);
      EIGENCORE_EACH(r, R) {
        const V x = V::load(row + (r * a.stride + j) * W);
        dot[r] = x * vj + dot[r];
        w = x * v[r] + w;
      }
      w.store(h.w + j * W);
    }
    EIGENCORE_EACH(r, R) dot[r].store(h.y + (at + r) * W);
    return R;
  }

  /// The reflector from the right on rows above the trailing block.
  std::size_t rows_from_right(std::size_t i, std::size_t k, const TwoSided& h) const {
    if (i + kRows > k + 1) return from_right_on<1>(i, k, h);
    return from_right_on<kRows>(i, k, h);
  }
  template <std::size_t R>
  EIGENCORE_INLINE std::size_t from_right_on(std::size_t i, std::size_t k,
                                             const TwoSided& h) const {
    const std::size_t m = n - k - 1;
    T* const row = a.at(i, k + 1);
    V dot[R];
    EIGENCORE_EACH(r, R) dot[r] = V(T(0));
    for (std::size_t j = 0; j < m; ++j) {
      const V v = V::load(h.v + j * W);
      EIGENCORE_EACH(r, R) dot[r] = V::load(row + (r * a.stride + j) * W) * v + dot[r];
    }
    EIGENCORE_EACH(r, R) dot[r] = dot[r] * h.tau;
    for (std::size_t j = 0; j < m; ++j) {
      const V v = V::load(h.v + j * W);
      EIGENCORE_EACH(r, R) {
        T* const x = row + (r * a.stride + j) * W;
        (V::load(x) - dot[r] * v).store(x);
      }
    }
    return R;
  }

  /// The first row and column of the trailing block.
  void update_edges(std::size_t k, const TwoSided& h) const {
    const std::size_t m = n - k - 1;
    const V y0 = V::load(h.y), w0 = V::load(h.w);
    for (std::size_t j = 0; j < m; ++j) {
      T* const x = a.at(k + 1, k + 1 + j);
      (V::load(x) - y0 * V::load(h.v + j * W) - V::load(h.w + j * W)).store(x);
    }
    for (std::size_t i = 1; i < m; ++i) {
      T* const x = a.at(k + 1 + i, k + 1);
      (V::load(x) - V::load(h.y + i * W) - V::load(h.v + i * W) * w0).store(x);
    }
  }

  /// Updates the rest of rows from i on, and adds them to the next reflector's w and y.
  std::size_t update_and_read_rows(std::size_t k, std::size_t i, const TwoSided& now,
                                   const TwoSided& next) const {
    if (i + kRows > n) return update_and_read<1>(k, i, now, next);
    return update_and_read<kRows>(k, i, now, next);
  }
  template <std::size_t R>
  EIGENCORE_INLINE std::size_t update_and_read(std::size_t k, std::size_t i, const TwoSided& now,
                                               const TwoSided& next) const {
    const std::size_t m = n - k - 1, at = i - k - 1;
    V v[R], y[R], v_next[R], dot[R];
    EIGENCORE_EACH(r, R) {
      v[r] = V::load(now.v + (at + r) * W);
      y[r] = V::load(now.y + (at + r) * W);
      v_next[r] = V::load(next.v + (at - 1 + r) * W);
      dot[r] = V(T(0));
    }
    T* const row = a.at(i, k + 1);
    for (std::size_t j = 1; j < m; ++j) {
      const V vj = V::load(now.v + j * W), wj = V::load(now.w + j * W),
              vj_next = V::load(next.v + (j - 1) * W);
      V w = V::load(next.w + (j - 1) * W);
      EIGENCORE_EACH(r, R) {
        T* const at_x = row + (r * a.stride + j) * W;
        const V x = V::load(at_x) - y[r] * vj - v[r] * wj;
        x.store(at_x);
        dot[r] = x * vj_next + dot[r];
        w = x * v_next[r] + w;
      }
      w.store(next.w + (j - 1) * W);
    }
    EIGENCORE_EACH(r, R) dot[r].store(next.y + (at - 1 + r) * W);
    return R;
  }
};

}  // namespace eigencore::EIGENCORE_LEVEL
