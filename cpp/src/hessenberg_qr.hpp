#pragma once

// Eigenvalues of W general matrices in lockstep: Householder reduction to Hessenberg form, then
// Francis' double-shift QR. All lanes sweep over the same rows; a lane that has nothing to do at a
// row gets a reflector with tau = 0, so that the inner loops carry no masks.
// After Golub & Van Loan, Matrix Computations, 4th ed., 7.4-7.5, and LAPACK's dlahqr.

#include "lane_matrix.hpp"

namespace eigencore::EIGENCORE_LEVEL {

template <class T, std::size_t K>
class HessenbergQr {
  using V = Lanes<T, K>;
  using M = Mask<T, K>;
  static constexpr std::size_t W = V::width;

 public:
  /// Numbers of T that the work space holds.
  static std::size_t workspace(std::size_t n) { return 4 * (n + 1) * W; }

  /// a: n x n, overwritten. re, im: (n, W) eigenvalues, in no order. Returns the lanes that did not
  /// converge.
  static M run(const LaneMatrix<T, K>& a, std::size_t n, T* re, T* im, T* work) {
    HessenbergQr self{a, n, re, im, work};
    self.reduce();
    return self.iterate();
  }

 private:
  const LaneMatrix<T, K> a;
  const std::size_t n;
  T *const re, *const im, *const work;
  V norm{}, floor{};  // of the Hessenberg matrix; under the floor an entry is zero

  HessenbergQr(const LaneMatrix<T, K>& a, std::size_t n, T* re, T* im, T* work)
      : a(a), n(n), re(re), im(im), work(work) {}

  /// Householder reduction. Both sides of a reflector are applied together: one pass reads A v and
  /// A^T v, one pass updates.
  void reduce() {
    T *const v = work, *const w = v + n * W, *const y = w + n * W;
    for (std::size_t k = 0; k + 2 < n; ++k) {
      const std::size_t m = n - k - 1;  // v spans rows k + 1 ... n - 1
      V tail(T(0));
      for (std::size_t i = k + 2; i < n; ++i) tail = a.get(i, k) * a.get(i, k) + tail;
      const auto h = reflector(a.get(k + 1, k), tail);
      V(T(1)).store(v);
      for (std::size_t i = 1; i < m; ++i) {
        (a.get(k + 1 + i, k) * h.inverse).store(v + i * W);
        a.set(k + 1 + i, k, V(T(0)));
      }
      a.set(k + 1, k, h.beta);
      for (std::size_t i = 0; i <= k; ++i) apply_right(a.at(i, k + 1), v, m, h.tau);
      apply_both(k + 1, m, v, w, y, h.tau);
    }
  }

  /// row -= tau (row . v) v^T
  static EIGENCORE_INLINE void apply_right(T* row, const T* v, std::size_t m, const V& tau) {
    V dot(T(0));
    for (std::size_t j = 0; j < m; ++j) dot = V::load(row + j * W) * V::load(v + j * W) + dot;
    dot = dot * tau;
    for (std::size_t j = 0; j < m; ++j) {
      (V::load(row + j * W) - dot * V::load(v + j * W)).store(row + j * W);
    }
  }

  /// B -> (I - tau v v^T) B (I - tau v v^T) for the trailing m x m block B from (s, s) on.
  void apply_both(std::size_t s, std::size_t m, const T* v, T* w, T* y, const V& tau) const {
    for (std::size_t j = 0; j < m; ++j) V(T(0)).store(w + j * W);
    V both(T(0));  // v^T B v
    std::size_t i = 0;
    for (; i + 1 < m; i += 2) {
      const T *const row0 = a.at(s + i, s), *const row1 = a.at(s + i + 1, s);
      const V v0 = V::load(v + i * W), v1 = V::load(v + (i + 1) * W);
      V dot0(T(0)), dot1(T(0));
      for (std::size_t j = 0; j < m; ++j) {
        const V x0 = V::load(row0 + j * W), x1 = V::load(row1 + j * W), vj = V::load(v + j * W);
        dot0 = x0 * vj + dot0;
        dot1 = x1 * vj + dot1;
        (x1 * v1 + (x0 * v0 + V::load(w + j * W))).store(w + j * W);
      }
      dot0.store(y + i * W);
      dot1.store(y + (i + 1) * W);
      both = dot1 * v1 + (dot0 * v0 + both);
    }
    for (; i < m; ++i) {
      const T* const row = a.at(s + i, s);
      const V vi = V::load(v + i * W);
      V dot(T(0));
      for (std::size_t j = 0; j < m; ++j) {
        const V x = V::load(row + j * W);
        dot = x * V::load(v + j * W) + dot;
        (x * vi + V::load(w + j * W)).store(w + j * W);
      }
      dot.store(y + i * W);
      both = dot * vi + both;
    }
    const V half = tau * tau * both * V(T(0.5));
    for (std::size_t j = 0; j < m; ++j) {
      const V vj = V::load(v + j * W);
      (tau * V::load(w + j * W) - half * vj).store(w + j * W);
      (tau * V::load(y + j * W) - half * vj).store(y + j * W);
    }
    for (i = 0; i < m; ++i) {
      T* const row = a.at(s + i, s);
      const V vi = V::load(v + i * W), yi = V::load(y + i * W);
      for (std::size_t j = 0; j < m; ++j) {
        const V x = V::load(row + j * W);
        ((x - yi * V::load(v + j * W)) - vi * V::load(w + j * W)).store(row + j * W);
      }
    }
  }

  /// A reflector of three rows, scaled for use: x -= t_i (x_0 + v1 x_1 + v2 x_2).
  struct Bulge {
    V v1, v2, t0, t1, t2;
  };

  /// The two shifts of each lane: r1 + i im and r2 - i im.
  struct Shifts {
    V r1, r2, im;
  };

  static EIGENCORE_INLINE void reflect(const Bulge& q, V& x0, V& x1, V& x2) {
    const V p = q.v2 * x2 + (q.v1 * x1 + x0);
    x0 = x0 - p * q.t0;
    x1 = x1 - p * q.t1;
    x2 = x2 - p * q.t2;
  }
  static EIGENCORE_INLINE void reflect(const Bulge& q, V& x0, V& x1) {
    const V p = q.v1 * x1 + x0;
    x0 = x0 - p * q.t0;
    x1 = x1 - p * q.t1;
  }

  /// Rows k ... k + Rows - 1 in columns first ... last.
  template <int Rows>
  EIGENCORE_INLINE void from_left(const Bulge& q, std::size_t k, std::size_t first,
                                  std::size_t last) const {
    T *r0 = a.at(k, first), *r1 = a.at(k + 1, first), *r2 = r1 + a.stride * W;
    for (std::size_t j = first; j <= last; ++j, r0 += W, r1 += W, r2 += W) {
      V x0 = V::load(r0), x1 = V::load(r1);
      if constexpr (Rows == 3) {
        V x2 = V::load(r2);
        reflect(q, x0, x1, x2);
        x2.store(r2);
      } else {
        reflect(q, x0, x1);
      }
      x0.store(r0);
      x1.store(r1);
    }
  }

  /// Columns k ... k + Rows - 1 in rows first ... last.
  template <int Rows>
  EIGENCORE_INLINE void from_right(const Bulge& q, std::size_t k, std::size_t first,
                                   std::size_t last) const {
    T* c = a.at(first, k);
    for (std::size_t i = first; i <= last; ++i, c += a.stride * W) {
      V x0 = V::load(c), x1 = V::load(c + W);
      if constexpr (Rows == 3) {
        V x2 = V::load(c + 2 * W);
        reflect(q, x0, x1, x2);
        x2.store(c + 2 * W);
      } else {
        reflect(q, x0, x1);
      }
      x0.store(c);
      x1.store(c + W);
    }
  }

  /// Two reflectors, at k and k + 1, in one pass over memory.
  EIGENCORE_INLINE void two_from_left(const Bulge& p, const Bulge& q, std::size_t k,
                                      std::size_t first, std::size_t last) const {
    const std::size_t step = a.stride * W;
    T* r = a.at(k, first);
    for (std::size_t j = first; j <= last; ++j, r += W) {
      V x0 = V::load(r), x1 = V::load(r + step), x2 = V::load(r + 2 * step),
        x3 = V::load(r + 3 * step);
      reflect(p, x0, x1, x2);
      reflect(q, x1, x2, x3);
      x0.store(r);
      x1.store(r + step);
      x2.store(r + 2 * step);
      x3.store(r + 3 * step);
    }
  }
  EIGENCORE_INLINE void two_from_right(const Bulge& p, const Bulge& q, std::size_t k,
                                       std::size_t first, std::size_t end) const {
    T* c = a.at(first, k);
    for (std::size_t i = first; i < end; ++i, c += a.stride * W) {
      V x0 = V::load(c), x1 = V::load(c + W), x2 = V::load(c + 2 * W), x3 = V::load(c + 3 * W);
      reflect(p, x0, x1, x2);
      reflect(q, x1, x2, x3);
      x0.store(c);
      x1.store(c + W);
      x2.store(c + 2 * W);
      x3.store(c + 3 * W);
    }
  }

  /// Where each lane's active window lies, as numbers: rows lo ... hi; hi = -1 where it is done.
  struct Window {
    V lo, hi;
    std::size_t max_hi;
  };

  M iterate() {
    for (std::size_t k = 0; k < n; ++k) {
      V(T(0)).store(re + k * W);
      V(T(0)).store(im + k * W);
    }
    norm = frobenius_norm();
    floor = max(norm * V(Limits<T>::negligible), V(Limits<T>::smallest_normal));
    Window window{V(T(0)), V(static_cast<T>(n - 1)), n - 1};
    V stalled(T(0));
    for (std::size_t sweep = 0; sweep < 40 * n; ++sweep) {
      find_small(window);
      Shifts shifts;
      if (!deflate(window, stalled, shifts)) return V(T(0)) <= window.hi;
      stalled = stalled + V(T(1));
      if (largest_lane(stalled) >= T(10)) exceptional_shifts(window, stalled, shifts);
      chase(window, shifts);
    }
    return V(T(0)) <= window.hi;
  }

  V frobenius_norm() const {
    V sum(T(0));
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = i ? i - 1 : 0; j < n; ++j) sum = a.get(i, j) * a.get(i, j) + sum;
    }
    return sqrt(sum);
  }

  /// Marks of the rows whose subdiagonal entry is negligible in a lane: 1, else 0.
  EIGENCORE_INLINE T* small(std::size_t k) const { return work + k * W; }

  /// Sets negligible subdiagonal entries to zero, and finds each lane's window.
  void find_small(Window& window) const {
    V before = abs(a.get(0, 0));
    window.lo = V(T(0));
    for (std::size_t k = 1; k <= window.max_hi; ++k) {
      const V here = abs(a.get(k, k)), row(static_cast<T>(k));
      V scale = here + before;
      scale = select(scale == V(T(0)), norm, scale);
      const M is_small = abs(a.get(k, k - 1)) <= max(V(Limits<T>::epsilon) * scale, floor);
      zero_unless(is_small, V(T(1))).store(small(k));
      if (n <= kFewRows || any(is_small)) {
        store_where(is_small, V(T(0)), a.at(k, k - 1));
        window.lo = select(is_small & (row <= window.hi), row, window.lo);
      }
      before = here;
    }
  }

  /// The trailing 2 x 2 block of each lane's window.
  struct Corner {
    V a, b, c, d;
  };

  Corner corner_of(const Window& window) const {
    Corner corner{V(T(0)), V(T(0)), V(T(0)), V(T(0))};
    const auto first = static_cast<std::size_t>(smallest_lane(max(window.hi, V(T(0)))));
    if (first == 0) {
      corner.d = select(window.hi == V(T(0)), a.get(0, 0), corner.d);
    }
    for (std::size_t k = first ? first : 1; k <= window.max_hi; ++k) {
      const M ends_here = window.hi == V(static_cast<T>(k));
      // In large matrices few lanes end at the same row; in small ones a branch costs more.
      if (n > kFewRows && none(ends_here)) continue;
      corner.a = select(ends_here, a.get(k - 1, k - 1), corner.a);
      corner.b = select(ends_here, a.get(k - 1, k), corner.b);
      corner.c = select(ends_here, a.get(k, k - 1), corner.c);
      corner.d = select(ends_here, a.get(k, k), corner.d);
    }
    return corner;
  }
  static constexpr std::size_t kFewRows = 16;

  /// Takes windows of one and two rows off, until every lane has three or is done; then gives the
  /// shifts. False when all lanes are done.
  bool deflate(Window& window, V& stalled, Shifts& shifts) const {
    const V zero(T(0)), one(T(1)), half(T(0.5));
    for (;;) {
      const M active = zero <= window.hi;
      if (none(active)) return false;
      window.max_hi = static_cast<std::size_t>(largest_lane(window.hi));
      const Corner x = corner_of(window);
      // d + p and d - bc / p are the eigenvalues where they are real, mean +- i root elsewhere.
      const V mean = half * (x.a + x.d), difference = half * (x.a - x.d);
      const V discriminant = difference * difference + x.b * x.c;
      const M real = zero <= discriminant;
      const V root = sqrt(abs(discriminant));
      const V p = difference + copysign(root, difference);
      const M no_p = p == zero;
      const V larger = x.d + p;
      const V smaller = select(no_p, x.d, x.d - (x.b * x.c) / select(no_p, one, p));
      shifts = {select(real, larger, mean), select(real, smaller, mean), select(real, zero, root)};
      const V rows = window.hi - window.lo;
      const M single = active & (rows == zero), pair = active & (rows == one);
      if (none(single | pair)) {
        // Of two real shifts the nearer one twice.
        const M second_nearer = abs(smaller - x.d) < abs(larger - x.d);
        const V nearer = select(second_nearer, smaller, larger);
        shifts.r1 = select(real, nearer, shifts.r1);
        shifts.r2 = select(real, nearer, shifts.r2);
        return true;
      }
      write_values(window, x.d, shifts, single, pair);
      stalled = select(single | pair, zero, stalled);
      window.hi = select(single, window.hi - one, select(pair, window.hi - one - one, window.hi));
      if (largest_lane(window.hi) < T(0)) return false;
      window.max_hi = static_cast<std::size_t>(largest_lane(window.hi));
      window.lo = zero;
      for (std::size_t k = 1; k <= window.max_hi; ++k) {
        const V row(static_cast<T>(k));
        const M starts = (zero < V::load(small(k))) & (row <= window.hi);
        window.lo = select(starts, row, window.lo);
      }
    }
  }

  void write_values(const Window& window, const V& single_value, const Shifts& pair_values,
                    const M& single, const M& pair) const {
    const auto first = static_cast<std::size_t>(smallest_lane(max(window.hi, V(T(0)))));
    for (std::size_t k = first; k <= window.max_hi; ++k) {
      const M ends_here = window.hi == V(static_cast<T>(k));
      store_where(ends_here & single, single_value, re + k * W);
      if (k == 0 || none(ends_here & pair)) continue;
      store_where(ends_here & pair, pair_values.r2, re + k * W);
      store_where(ends_here & pair, -pair_values.im, im + k * W);
      store_where(ends_here & pair, pair_values.r1, re + (k - 1) * W);
      store_where(ends_here & pair, pair_values.im, im + (k - 1) * W);
    }
  }

  /// For lanes that have not deflated for 10, 20, ... sweeps, as in dlahqr.
  void exceptional_shifts(const Window& window, const V& stalled, Shifts& shifts) const {
    for (std::size_t r = 0; r < K; ++r) {
      for (std::size_t l = 0; l < Register<T>::lanes; ++l) {
        const T hi = window.hi.v[r][l], count = stalled.v[r][l];
        if (hi < T(0) || count < T(10)) continue;
        const auto tens = static_cast<std::size_t>(count);
        if (tens % 10) continue;
        const std::size_t lane = r * Register<T>::lanes + l;
        const auto end = static_cast<std::size_t>(hi);
        const auto begin = static_cast<std::size_t>(window.lo.v[r][l]);
        const bool at_top = tens % 20 == 10;
        const std::size_t i = at_top ? begin + 1 : end, j = at_top ? begin + 2 : end - 1;
        const T x = a.at(i, i - 1)[lane], y = a.at(j, j - 1)[lane];
        const T size = (x < 0 ? -x : x) + (y < 0 ? -y : y);
        const std::size_t d = at_top ? begin : end;
        shifts.r1.v[r][l] = shifts.r2.v[r][l] = T(0.75) * size + a.at(d, d)[lane];
        shifts.im.v[r][l] = scalar_sqrt(T(0.4375)) * size;
      }
    }
  }

  /// The reflector at row k: of the bulge's column, or of the first column of the shifted square
  /// where a lane's window starts here.
  template <int Rows>
  EIGENCORE_INLINE Bulge bulge_at(std::size_t k, std::size_t top, const Window& window,
                                  const Shifts& shifts) const {
    const V row(static_cast<T>(k));
    const M starts = (window.lo == row) & (row < window.hi);
    const M acts = (window.lo <= row) & (row < window.hi);
    const bool any_starts = any(starts);
    V x0(T(0)), x1(T(0)), x2(T(0));
    if (k > top) {
      x0 = a.get(k, k - 1);
      x1 = a.get(k + 1, k - 1);
      if constexpr (Rows == 3) x2 = a.get(k + 2, k - 1);
    }
    if (any_starts) {
      const V h00 = a.get(k, k), h10 = a.get(k + 1, k), h01 = a.get(k, k + 1),
              h11 = a.get(k + 1, k + 1);
      const V e1 = h00 - shifts.r1, e2 = h00 - shifts.r2;
      x0 = select(starts, h10 * h01 + (e1 * e2 + shifts.im * shifts.im), x0);
      x1 = select(starts, h10 * (h00 + h11 - shifts.r1 - shifts.r2), x1);
      if constexpr (Rows == 3) x2 = select(starts, h10 * a.get(k + 2, k + 1), x2);
    }
    const V tail = Rows == 3 ? x1 * x1 + x2 * x2 : x1 * x1;
    auto h = reflector(x0, tail);
    h.tau = zero_unless(acts, h.tau);
    if (k > top) {
      const M chases = acts & ~starts & (V(T(0)) < h.tau);
      store_where(chases, h.beta, a.at(k, k - 1));
      store_where(chases, V(T(0)), a.at(k + 1, k - 1));
      if constexpr (Rows == 3) store_where(chases, V(T(0)), a.at(k + 2, k - 1));
    }
    Bulge q;
    q.v1 = x1 * h.inverse;
    q.v2 = x2 * h.inverse;
    q.t0 = h.tau;
    q.t1 = h.tau * q.v1;
    q.t2 = h.tau * q.v2;
    return q;
  }

  /// One double-shift sweep over the windows of all lanes.
  void chase(const Window& window, const Shifts& shifts) const {
    const std::size_t last = window.max_hi;
    const M active = V(T(0)) <= window.hi;
    const auto top =
        static_cast<std::size_t>(smallest_lane(select(active, window.lo, V(static_cast<T>(n)))));
    std::size_t k = top;
    for (; k + 3 <= last; k += 2) {
      const Bulge p = bulge_at<3>(k, top, window, shifts);
      from_left<3>(p, k, k, k + 3);
      from_right<3>(p, k, k, k + 3);
      const Bulge q = bulge_at<3>(k + 1, top, window, shifts);
      from_left<3>(q, k + 1, k + 1, k + 3);
      from_right<3>(q, k + 1, k, k + 4 <= last ? k + 4 : last);
      if (k + 4 <= last) two_from_left(p, q, k, k + 4, last);
      two_from_right(p, q, k, top, k);
    }
    for (; k < last; ++k) {
      if (k + 1 < last) {
        const Bulge q = bulge_at<3>(k, top, window, shifts);
        from_left<3>(q, k, k, last);
        from_right<3>(q, k, top, k + 3 <= last ? k + 3 : last);
      } else {
        const Bulge q = bulge_at<2>(k, top, window, shifts);
        from_left<2>(q, k, k, last);
        from_right<2>(q, k, top, last);
      }
    }
  }
};

}  // namespace eigencore::EIGENCORE_LEVEL
