#pragma once

// Singular values of W general matrices in lockstep: Householder bidiagonalisation, then the
// implicitly shifted QR of Golub and Kahan. Lanes share the sweep; each has its own window.
// After Golub & Van Loan, Matrix Computations, 4th ed., 8.6, and Demmel & Kahan 1990 for the zero
// shift.

#include "lane_matrix.hpp"

namespace eigencore::EIGENCORE_LEVEL {

template <class T, std::size_t K>
class GolubKahan {
  using V = Lanes<T, K>;
  using M = Mask<T, K>;
  static constexpr std::size_t W = V::width;

 public:
  /// Numbers of T that the work space holds.
  static std::size_t workspace(std::size_t n) { return 4 * (n + 1) * W; }

  /// a: n x n, overwritten. sigma: (n + 1, W), of which n are singular values, descending. Returns
  /// the lanes that did not converge.
  static M run(const LaneMatrix<T, K>& a, std::size_t n, T* sigma, T* work) {
    GolubKahan self{a, n, sigma, work};
    self.bidiagonalise();
    const M failed = self.iterate();
    self.sort();
    return failed;
  }

 private:
  const LaneMatrix<T, K> a;
  const std::size_t n;
  T *const d, *const e, *const v, *const w, *const u;  // diagonal, superdiagonal, vectors

  GolubKahan(const LaneMatrix<T, K>& a, std::size_t n, T* sigma, T* work)
      : a(a), n(n), d(sigma), e(work), v(e + (n + 1) * W), w(v + (n + 1) * W), u(w + (n + 1) * W) {}

  /// For each k a reflector from the left and one from the right, applied together: one pass reads
  /// v^T A, one pass updates.
  void bidiagonalise() {
    for (std::size_t k = 0; k < n; ++k) {
      const std::size_t rows = n - k, cols = n - k - 1;
      if (cols == 0) {
        a.get(k, k).store(d + k * W);
        break;
      }
      V tail(T(0));
      for (std::size_t i = k + 1; i < n; ++i) tail = a.get(i, k) * a.get(i, k) + tail;
      const auto left = reflector(a.get(k, k), tail);
      left.beta.store(d + k * W);
      V(T(1)).store(v);
      for (std::size_t i = 1; i < rows; ++i) (a.get(k + i, k) * left.inverse).store(v + i * W);
      product_with_v(k, rows, cols, left.tau);

      // Row k after the left reflector, from which the right one is made.
      V row_tail(T(0));
      for (std::size_t j = 0; j < cols; ++j) {
        const V x = a.get(k, k + 1 + j) - V::load(w + j * W);
        x.store(u + j * W);
        if (j > 0) row_tail = x * x + row_tail;
      }
      auto right = reflector(V::load(u), row_tail);
      right.beta.store(e + k * W);
      V(T(1)).store(u);
      for (std::size_t j = 1; j < cols; ++j) (V::load(u + j * W) * right.inverse).store(u + j * W);
      update(k, rows, cols, right.tau);
    }
  }

  /// w = tau v^T A over the columns right of k.
  void product_with_v(std::size_t k, std::size_t rows, std::size_t cols, const V& tau) {
    for (std::size_t j = 0; j < cols; ++j) a.get(k, k + 1 + j).store(w + j * W);
    std::size_t i = 1;
    for (; i + 3 < rows; i += 4) {
      const T *const r0 = a.at(k + i, k + 1), *const r1 = a.at(k + i + 1, k + 1),
                     *const r2 = a.at(k + i + 2, k + 1), *const r3 = a.at(k + i + 3, k + 1);
      const V v0 = V::load(v + i * W), v1 = V::load(v + (i + 1) * W), v2 = V::load(v + (i + 2) * W),
              v3 = V::load(v + (i + 3) * W);
      for (std::size_t j = 0; j < cols; ++j) {
        V sum = V::load(w + j * W);
        sum = v0 * V::load(r0 + j * W) + sum;
        sum = v1 * V::load(r1 + j * W) + sum;
        sum = v2 * V::load(r2 + j * W) + sum;
        sum = v3 * V::load(r3 + j * W) + sum;
        sum.store(w + j * W);
      }
    }
    for (; i < rows; ++i) {
      const T* const r = a.at(k + i, k + 1);
      const V vi = V::load(v + i * W);
      for (std::size_t j = 0; j < cols; ++j) {
        (vi * V::load(r + j * W) + V::load(w + j * W)).store(w + j * W);
      }
    }
    for (std::size_t j = 0; j < cols; ++j) (V::load(w + j * W) * tau).store(w + j * W);
  }

  /// A -> (A - v w^T)(I - sigma u u^T) below row k, right of column k.
  void update(std::size_t k, std::size_t rows, std::size_t cols, const V& sigma) {
    V wu(T(0));
    for (std::size_t j = 0; j < cols; ++j) wu = V::load(w + j * W) * V::load(u + j * W) + wu;
    std::size_t i = 1;
    for (; i + 1 < rows; i += 2) {
      T *const r0 = a.at(k + i, k + 1), *const r1 = a.at(k + i + 1, k + 1);
      const V v0 = V::load(v + i * W), v1 = V::load(v + (i + 1) * W);
      V y0 = -(v0 * wu), y1 = -(v1 * wu);
      for (std::size_t j = 0; j < cols; ++j) {
        const V uj = V::load(u + j * W);
        y0 = V::load(r0 + j * W) * uj + y0;
        y1 = V::load(r1 + j * W) * uj + y1;
      }
      y0 = y0 * sigma;
      y1 = y1 * sigma;
      for (std::size_t j = 0; j < cols; ++j) {
        const V uj = V::load(u + j * W), wj = V::load(w + j * W);
        ((V::load(r0 + j * W) - v0 * wj) - y0 * uj).store(r0 + j * W);
        ((V::load(r1 + j * W) - v1 * wj) - y1 * uj).store(r1 + j * W);
      }
    }
    for (; i < rows; ++i) {
      T* const r = a.at(k + i, k + 1);
      const V vi = V::load(v + i * W);
      V y = -(vi * wu);
      for (std::size_t j = 0; j < cols; ++j) y = V::load(r + j * W) * V::load(u + j * W) + y;
      y = y * sigma;
      for (std::size_t j = 0; j < cols; ++j) {
        const V uj = V::load(u + j * W), wj = V::load(w + j * W);
        ((V::load(r + j * W) - vi * wj) - y * uj).store(r + j * W);
      }
    }
  }

  struct Window {
    V lo, hi;
    std::size_t max_hi;
  };

  M iterate() {
    const V zero(T(0));
    V largest(T(0));
    for (std::size_t k = 0; k < n; ++k) {
      largest = max(largest, abs(V::load(d + k * W)));
      if (k + 1 < n) largest = max(largest, abs(V::load(e + k * W)));
    }
    threshold = max(largest * V(Limits<T>::epsilon * T(0.5)), V(Limits<T>::smallest_normal));
    zero.store(e + (n - 1) * W);
    Window window{zero, V(static_cast<T>(n - 1)), n - 1};
    for (std::size_t sweep = 0; sweep < 12 * n + 20; ++sweep) {
      V shift;
      if (!deflate(window, shift)) return zero <= window.hi;
      chase(window, shift);
    }
    return zero <= window.hi;
  }
  V threshold{};

  void find_window(Window& window) const {
    window.lo = V(T(0));
    for (std::size_t k = 1; k <= window.max_hi; ++k) {
      const V row(static_cast<T>(k));
      const M splits = abs(V::load(e + (k - 1) * W)) <= threshold;
      window.lo = select(splits & (row <= window.hi), row, window.lo);
    }
  }

  /// Takes windows of one and two rows off, until every lane has three or is done; then gives the
  /// shift, the smaller singular value of the trailing 2 x 2 block, or zero where a diagonal entry
  /// of the window is negligible. False when all lanes are done.
  bool deflate(Window& window, V& shift) const {
    const V zero(T(0)), one(T(1));
    for (;;) {
      const M active = zero <= window.hi;
      if (none(active)) return false;
      window.max_hi = static_cast<std::size_t>(largest_lane(window.hi));
      find_window(window);
      const auto first = static_cast<std::size_t>(smallest_lane(max(window.hi, zero)));
      V f(T(0)), g(T(0)), h(T(0));
      for (std::size_t k = first; k <= window.max_hi; ++k) {
        const M ends_here = window.hi == V(static_cast<T>(k));
        h = select(ends_here, V::load(d + k * W), h);
        if (k == 0) continue;
        f = select(ends_here, V::load(d + (k - 1) * W), f);
        g = select(ends_here, V::load(e + (k - 1) * W), g);
      }
      V smaller, larger;
      singular_values_of_pair(f, g, h, smaller, larger);
      const V rows = window.hi - window.lo;
      const M single = active & (rows == zero), pair = active & (rows == one);
      if (none(single | pair)) {
        shift = smaller;
        break;
      }
      for (std::size_t k = first ? first : 1; k <= window.max_hi; ++k) {
        const M ends_here = (window.hi == V(static_cast<T>(k))) & pair;
        store_where(ends_here, smaller, d + k * W);
        store_where(ends_here, larger, d + (k - 1) * W);
      }
      window.hi = select(single, window.hi - one, select(pair, window.hi - one - one, window.hi));
      if (largest_lane(window.hi) < T(0)) return false;
    }
    M no_shift = zero < zero;
    for (std::size_t k = 0; k <= window.max_hi; ++k) {
      const V row(static_cast<T>(k));
      no_shift = no_shift |
                 ((abs(V::load(d + k * W)) <= threshold) & (window.lo <= row) & (row <= window.hi));
    }
    shift = select(no_shift, zero, shift);
    return true;
  }

  /// Of [[f, g], [0, h]], as in LAPACK's dlas2.
  static EIGENCORE_INLINE void singular_values_of_pair(V f, V g, V h, V& smaller, V& larger) {
    f = abs(f);
    g = abs(g);
    h = abs(h);
    const V low = min(f, h), high = max(f, h);
    // Relative to the largest of the three, so that nothing overflows and 0 / 0 does not arise.
    const V scale = max(max(high, g), V(Limits<T>::smallest_normal));
    const V l = low / scale, b = high / scale, x = g / scale;
    const V sum = sqrt((b + l) * (b + l) + x * x), difference = sqrt((b - l) * (b - l) + x * x);
    const V twice = sum + difference;
    larger = scale * twice * V(T(0.5));
    smaller = scale * (l * b * V(T(2))) / max(twice, V(Limits<T>::smallest_normal));
  }

  /// The rotation that takes (f, g) to (r, 0).
  static EIGENCORE_INLINE void rotation(const V& f, const V& g, V& c, V& s, V& r) {
    const V sum = f * f + g * g;
    const M turns = V(T(0)) < sum;
    r = sqrt(sum);
    const V inverse = V(T(1)) / select(turns, r, V(T(1)));
    c = select(turns, f * inverse, V(T(1)));
    s = g * inverse;
  }

  /// One sweep over the windows of all lanes.
  void chase(const Window& window, const V& shift) const {
    const M active = V(T(0)) <= window.hi;
    const auto top =
        static_cast<std::size_t>(smallest_lane(select(active, window.lo, V(static_cast<T>(n)))));
    V f(T(0)), g(T(0)), di = V::load(d + top * W), ei = V::load(e + top * W);
    for (std::size_t i = top; i < window.max_hi; ++i) {
      const V row(static_cast<T>(i));
      const M acts = (window.lo <= row) & (row < window.hi);
      const M starts = (window.lo == row) & acts, ends = (window.hi == row + V(T(1))) & acts;
      if (any(starts)) {
        // The first column of B^T B - shift^2, over d; d where it is negligible.
        const V safe = select(abs(di) <= threshold, copysign(threshold, di), di);
        f = select(starts, safe - shift * (shift / safe), f);
        g = select(starts, ei, g);
      }
      V c, s, r;
      rotation(f, g, c, s, r);
      if (i > top) store_where(acts & ~starts, r, e + (i - 1) * W);
      const V next_d = V::load(d + (i + 1) * W), next_e = V::load(e + (i + 1) * W);
      const V f2 = c * di + s * ei, e2 = c * ei - s * di, g2 = s * next_d, d2 = c * next_d;
      V c2, s2, r2;
      rotation(f2, g2, c2, s2, r2);
      store_where(acts, r2, d + i * W);
      f = c2 * e2 + s2 * d2;
      g = s2 * next_e;
      store_where(ends, f, e + i * W);
      di = select(acts, c2 * d2 - s2 * e2, next_d);
      ei = select(acts & ~ends, c2 * next_e, next_e);
      di.store(d + (i + 1) * W);
      ei.store(e + (i + 1) * W);
    }
  }

  /// By absolute value, downwards.
  void sort() {
    for (std::size_t i = 0; i < n; ++i) abs(V::load(d + i * W)).store(d + i * W);
    sorting_network(n, [this](std::size_t i, std::size_t j) {
      const V x = V::load(d + i * W), y = V::load(d + j * W);
      max(x, y).store(d + i * W);
      min(x, y).store(d + j * W);
    });
  }
};

}  // namespace eigencore::EIGENCORE_LEVEL
