#pragma once

// W general matrices to bidiagonal ones with the same singular values, in lockstep, by Householder
// reflectors from both sides. After Golub & Van Loan, Matrix Computations, 4th ed., 5.4.8.

#include "lane_matrix.hpp"

namespace eigencore::EIGENCORE_LEVEL {

template <class T, std::size_t K>
class Bidiagonalisation {
  using V = Lanes<T, K>;
  static constexpr std::size_t W = V::width;

 public:
  /// Numbers of T that the work space holds.
  static std::size_t workspace(std::size_t n) { return 3 * n * W; }

  /// a: n x n, overwritten. d: (n, W), the diagonal. e: (n, W), of which n - 1 are written, the
  /// superdiagonal.
  static void run(const LaneMatrix<T, K>& a, std::size_t n, T* d, T* e, T* work) {
    Bidiagonalisation{a, n, d, e, work}.reduce();
  }

 private:
  const LaneMatrix<T, K> a;
  const std::size_t n;
  T *const d, *const e, *const v, *const w, *const u;

  /// Rows that one pass over memory takes together: sums that do not wait for one another, and
  /// vectors along the rows that are read once for all of them.
  static constexpr std::size_t kRows = kRegisters >= 32 || K == 1 ? 4 : 2;

  Bidiagonalisation(const LaneMatrix<T, K>& a, std::size_t n, T* d, T* e, T* work)
      : a(a), n(n), d(d), e(e), v(work), w(v + n * W), u(w + n * W) {}

  /// For each k a reflector from the left and one from the right, applied together: one pass reads
  /// v^T A, one pass updates.
  void reduce() {
    for (std::size_t k = 0; k + 1 < n; ++k) {
      V tail(T(0));
      for (std::size_t i = k + 1; i < n; ++i) tail = a.get(i, k) * a.get(i, k) + tail;
      const auto left = reflector(a.get(k, k), tail);
      left.beta.store(d + k * W);
      V(T(1)).store(v);
      for (std::size_t i = 1; i < n - k; ++i) (a.get(k + i, k) * left.inverse).store(v + i * W);
      multiply_by_v(k, left.tau);
      const V tau = right_reflector(k);
      V wu(T(0));
      for (std::size_t j = 0; j + k + 1 < n; ++j) {
        wu = V::load(w + j * W) * V::load(u + j * W) + wu;
      }
      std::size_t i = 1;
      for (; i + kRows <= n - k; i += kRows) update_rows<kRows>(k, i, wu, tau);
      for (; i < n - k; ++i) update_rows<1>(k, i, wu, tau);
    }
    a.get(n - 1, n - 1).store(d + (n - 1) * W);
  }

  /// w = tau v^T A over the columns right of k.
  void multiply_by_v(std::size_t k, const V& tau) const {
    const std::size_t cols = n - k - 1;
    for (std::size_t j = 0; j < cols; ++j) a.get(k, k + 1 + j).store(w + j * W);
    std::size_t i = 1;
    for (; i + kRows <= n - k; i += kRows) add_rows<kRows>(k, i);
    for (; i < n - k; ++i) add_rows<1>(k, i);
    for (std::size_t j = 0; j < cols; ++j) (V::load(w + j * W) * tau).store(w + j * W);
  }
  template <std::size_t R>
  EIGENCORE_INLINE void add_rows(std::size_t k, std::size_t i) const {
    const T* const row = a.at(k + i, k + 1);
    V vi[R];
    EIGENCORE_EACH(r, R) vi[r] = V::load(v + (i + r) * W);
    for (std::size_t j = 0; j + k + 1 < n; ++j) {
      V sum = V::load(w + j * W);
      EIGENCORE_EACH(r, R) sum = vi[r] * V::load(row + (r * a.stride + j) * W) + sum;
      sum.store(w + j * W);
    }
  }

  /// u and tau of the reflector made from row k as the left one leaves it.
  V right_reflector(std::size_t k) const {
    const std::size_t cols = n - k - 1;
    V tail(T(0));
    for (std::size_t j = 0; j < cols; ++j) {
      const V x = a.get(k, k + 1 + j) - V::load(w + j * W);
      x.store(u + j * W);
      if (j > 0) tail = x * x + tail;
    }
    const auto right = reflector(V::load(u), tail);
    right.beta.store(e + k * W);
    V(T(1)).store(u);
    for (std::size_t j = 1; j < cols; ++j) (V::load(u + j * W) * right.inverse).store(u + j * W);
    return right.tau;
  }

  /// A -> (A - v w^T)(I - tau u u^T) on R rows right of column k; wu = w^T u.
  template <std::size_t R>
  EIGENCORE_INLINE void update_rows(std::size_t k, std::size_t i, const V& wu, const V& tau) const {
    const std::size_t cols = n - k - 1;
    T* const row = a.at(k + i, k + 1);
    V vi[R], y[R];
    EIGENCORE_EACH(r, R) {
      vi[r] = V::load(v + (i + r) * W);
      y[r] = -(vi[r] * wu);
    }
    for (std::size_t j = 0; j < cols; ++j) {
      const V uj = V::load(u + j * W);
      EIGENCORE_EACH(r, R) y[r] = V::load(row + (r * a.stride + j) * W) * uj + y[r];
    }
    EIGENCORE_EACH(r, R) y[r] = y[r] * tau;
    for (std::size_t j = 0; j < cols; ++j) {
      const V uj = V::load(u + j * W), wj = V::load(w + j * W);
      EIGENCORE_EACH(r, R) {
        T* const x = row + (r * a.stride + j) * W;
        ((V::load(x) - vi[r] * wj) - y[r] * uj).store(x);
      }
    }
  }
};

}  // namespace eigencore::EIGENCORE_LEVEL
