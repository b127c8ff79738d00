#pragma once

// Eigenvalues of W Hessenberg matrices in lockstep by Francis' double-shift QR. All lanes sweep
// over the same rows; a lane that has nothing to do at a row gets a reflector with tau = 0, so that
// the inner loops carry no masks. After Golub & Van Loan, Matrix Computations, 4th ed., 7.5, and
// LAPACK's dlahqr.

#include "lane_matrix.hpp"

namespace eigencore::EIGENCORE_LEVEL {

template <class T, std::size_t K>
class HessenbergQr {
  using V = Lanes<T, K>;
  using M = Mask<T, K>;
  static constexpr std::size_t W = V::width;

 public:
  /// a: n x n, Hessenberg, overwritten. re, im: (n, W) eigenvalues, in no order. Returns the lanes
  /// that did not converge.
  static M run(const LaneMatrix<T, K>& a, std::size_t n, T* re, T* im) {
    return HessenbergQr{a, n, re, im}.iterate();
  }

 private:
  const LaneMatrix<T, K> a;
  const std::size_t n;
  T *const re, *const im;
  V norm{}, floor{};  // of the Hessenberg matrix; under the floor an entry is zero

  HessenbergQr(const LaneMatrix<T, K>& a, std::size_t n, T* re, T* im)
      : a(a), n(n), re(re), im(im) {}

  /// Reflectors that are chased together where many rows follow: as many as registers hold.
  static constexpr std::size_t kFused = kRegisters >= 32 && K == 1 ? 4 : 2;
  static constexpr std::size_t kManyRows = 32;

  /// A reflector of three rows, scaled for use: x -= t_i (x_0 + v1 x_1 + v2 x_2).
  struct Bulge {
    V v1, v2, t0, t1, t2;
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

  /// F reflectors that follow one another, on F + 2 numbers `step` apart.
  template <std::size_t F>
  static EIGENCORE_INLINE void reflect_all(const Bulge (&q)[F], T* at, std::size_t step) {
    V x[F + 2];
    EIGENCORE_EACH(i, F + 2) x[i] = V::load(at + i * step);
    EIGENCORE_EACH(f, F) reflect(q[f], x[f], x[f + 1], x[f + 2]);
    EIGENCORE_EACH(i, F + 2) x[i].store(at + i * step);
  }
  /// Rows k ... k + F + 1 in columns first ... end - 1.
  template <std::size_t F>
  EIGENCORE_INLINE void from_left(const Bulge (&q)[F], std::size_t k, std::size_t first,
                                  std::size_t end) const {
    T* column = a.at(k, first);
    for (std::size_t j = first; j < end; ++j, column += W) reflect_all(q, column, a.stride * W);
  }
  /// Columns k ... k + F + 1 in rows first ... end - 1.
  template <std::size_t F>
  EIGENCORE_INLINE void from_right(const Bulge (&q)[F], std::size_t k, std::size_t first,
                                   std::size_t end) const {
    T* row = a.at(first, k);
    for (std::size_t i = first; i < end; ++i, row += a.stride * W) reflect_all(q, row, W);
  }

  /// The two shifts of each lane: r1 + i im and r2 - i im.
  struct Shifts {
    V r1, r2, im;
  };

  /// Where each lane's active window lies, as numbers: rows lo ... hi, three or more of them;
  /// hi = -1 where all is done.
  struct Window {
    V lo, hi;
  };

  M iterate() {
    norm = frobenius_norm();
    floor = max(norm * V(Limits<T>::negligible), V(Limits<T>::smallest_normal));
    const V zero(T(0));
    Window window{zero, V(static_cast<T>(n - 1))};
    V stalled = zero;
    for (std::size_t sweep = 0; sweep < 40 * n; ++sweep) {
      const V before = window.hi;
      narrow(window);
      const T last = largest_lane(window.hi);
      if (last < T(0)) break;
      stalled = zero_unless(window.hi == before, stalled + V(T(1)));
      Shifts shifts = shifts_of(window, static_cast<std::size_t>(last));
      if (largest_lane(stalled) >= T(10)) exceptional_shifts(window, stalled, shifts);
      chase(window, static_cast<std::size_t>(last), shifts);
    }
    write_values();
    return zero <= window.hi;
  }

  V frobenius_norm() const {
    V sum(T(0));
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = i ? i - 1 : 0; j < n; ++j) sum = a.get(i, j) * a.get(i, j) + sum;
    }
    return sqrt(sum);
  }

  /// Where the entry left of (k, k) is negligible beside its neighbours on the diagonal.
  EIGENCORE_INLINE M is_small(std::size_t k, const V& diagonal, const V& previous) const {
    V scale = abs(diagonal) + abs(previous);
    scale = select(scale == V(T(0)), norm, scale);
    return abs(a.get(k, k - 1)) <= max(V(Limits<T>::epsilon) * scale, floor);
  }

  /// Sets negligible subdiagonal entries to zero, and takes what these cut off in ones and twos
  /// from each lane's window. What is cut off stays where it is until write_values.
  void narrow(Window& window) const {
    const V zero(T(0)), one(T(1));
    const T top_row = largest_lane(window.hi);
    const auto last = static_cast<std::size_t>(top_row);
    window.lo = zero;
    V here = a.get(last, last), above = last ? a.get(last - 1, last - 1) : here, row(top_row);
    M cut = last ? is_small(last, here, above) : zero == zero;
    for (std::size_t k = last; k >= 1; --k, row = row - one) {
      here = above;
      M cut_above = zero == zero;
      if (k > 1) {
        above = a.get(k - 2, k - 2);
        cut_above = is_small(k - 1, here, above);
      }
      const M ends = window.hi == row;
      if (n <= kFewRows || any(cut | (ends & cut_above))) {
        store_where(cut, zero, a.at(k, k - 1));
        window.hi = select(ends & cut, row - one, window.hi);
        window.hi = select(ends & ~cut & cut_above, row - one - one, window.hi);
        window.lo = max(window.lo, zero_unless(cut & (row <= window.hi), row));
      }
      cut = cut_above;
    }
    window.hi = select(window.hi <= zero, V(T(-1)), window.hi);
  }
  /// Below, branches cost more than what they save.
  static constexpr std::size_t kFewRows = 16;

  /// Of [a b; c d] the eigenvalues r1 + i im and r2 - i im.
  static EIGENCORE_INLINE Shifts eigenvalues_of_two(const V& x, const V& b, const V& c,
                                                    const V& d) {
    const V zero(T(0)), half(T(0.5));
    // d + p and d - bc / p where they are real, mean +- i root elsewhere.
    const V mean = half * (x + d), difference = half * (x - d), product = rounded(b * c);
    const V discriminant = difference * difference + product;
    const M real = zero <= discriminant;
    const V root = sqrt(abs(discriminant));
    const V p = difference + copysign(root, difference);
    const V smaller = d - zero_unless(~(p == zero), product / p);
    return {select(real, d + p, mean), select(real, smaller, mean), select(real, zero, root)};
  }

  /// The eigenvalues of the trailing 2 x 2 block of each lane's window; of two real ones the one
  /// nearer to the last entry, twice.
  Shifts shifts_of(const Window& window, std::size_t last) const {
    V x(T(0)), b(T(0)), c(T(0)), d(T(0));
    for (std::size_t k = 2; k <= last; ++k) {
      const M ends_here = window.hi == V(static_cast<T>(k));
      if (n > kFewRows && none(ends_here)) continue;
      x = select(ends_here, a.get(k - 1, k - 1), x);
      b = select(ends_here, a.get(k - 1, k), b);
      c = select(ends_here, a.get(k, k - 1), c);
      d = select(ends_here, a.get(k, k), d);
    }
    const Shifts both = eigenvalues_of_two(x, b, c, d);
    const M real = both.im == V(T(0)), second_nearer = abs(both.r2 - d) < abs(both.r1 - d);
    return {select(real & second_nearer, both.r2, both.r1),
            select(real & ~second_nearer, both.r1, both.r2), both.im};
  }

  /// The eigenvalues of the blocks of one and two rows that are left on the diagonal.
  void write_values() const {
    const V zero(T(0));
    M second = zero < zero;
    Shifts pair{zero, zero, zero};
    for (std::size_t k = 0; k < n; ++k) {
      const V here = a.get(k, k);
      V value = select(second, pair.r2, here), imaginary = zero_unless(second, -pair.im);
      M first = zero < zero;
      if (k + 1 < n) {
        const V c = a.get(k + 1, k);
        first = ~second & ~(c == zero);
        if (any(first)) {
          pair = eigenvalues_of_two(here, a.get(k, k + 1), c, a.get(k + 1, k + 1));
          value = select(first, pair.r1, value);
          imaginary = select(first, pair.im, imaginary);
        }
      }
      value.store(re + k * W);
      imaginary.store(im + k * W);
      second = first;
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

  /// What a sweep carries from row to row in registers, and never stores: the entries of the bulge.
  /// Behind a reflector at row k, these stand in column k at rows k + 1, k + 2 and k + 3, and in
  /// column k + 1 at row k + 3.
  struct Carried {
    V x0, x1, x2, next;
  };

  /// A sweep over the windows of all lanes: rows top ... last.
  struct Sweep {
    const Window& window;
    const Shifts& shifts;
    const std::size_t top, last;
  };

  /// The reflector at row k: of the carried column, or of the first column of the shifted square
  /// where a lane's window starts here.
  EIGENCORE_INLINE Bulge bulge_at(std::size_t k, const Sweep& sweep, const Carried& carried) const {
    const V row(static_cast<T>(k));
    const Shifts& shifts = sweep.shifts;
    const M acts = (sweep.window.lo <= row) & (row < sweep.window.hi);
    const M starts = acts & (sweep.window.lo == row);
    V x0 = carried.x0, x1 = carried.x1, x2 = carried.x2;
    if (any(starts)) {
      const V h00 = a.get(k, k), h10 = a.get(k + 1, k), h01 = a.get(k, k + 1),
              h11 = a.get(k + 1, k + 1);
      const V h21 = k + 2 <= sweep.last ? a.get(k + 2, k + 1) : V(T(0));
      const V e1 = h00 - shifts.r1, e2 = h00 - shifts.r2;
      x0 = select(starts, h10 * h01 + (e1 * e2 + rounded(shifts.im * shifts.im)), x0);
      x1 = select(starts, h10 * (h00 + h11 - shifts.r1 - shifts.r2), x1);
      x2 = select(starts, h10 * h21, x2);
    }
    auto h = reflector(x0, x1 * x1 + rounded(x2 * x2));
    h.tau = zero_unless(acts, h.tau);
    if (k > sweep.top) {
      select(acts & ~starts, h.beta, carried.x0).store(a.at(k, k - 1));
    }
    Bulge q;
    q.v1 = x1 * h.inverse;
    q.v2 = x2 * h.inverse;
    q.t0 = h.tau;
    q.t1 = h.tau * q.v1;
    q.t2 = h.tau * q.v2;
    return q;
  }

  /// The reflector at row k from both sides, on rows k ... k + Rows - 1 and columns k ... k + 2.
  template <int Rows>
  EIGENCORE_INLINE void around_diagonal(const Bulge& q, std::size_t k, Carried& carried) const {
    V x[3][3];
    EIGENCORE_EACH(i, 3) {
      EIGENCORE_EACH(j, 3) { x[i][j] = i == 2 && j == 0 ? carried.next : a.get(k + i, k + j); }
    }
    EIGENCORE_EACH(j, 3) { reflect(q, x[0][j], x[1][j], x[2][j]); }
    EIGENCORE_EACH(i, 3) { reflect(q, x[i][0], x[i][1], x[i][2]); }
    carried = {x[1][0], x[2][0], V(T(0)), V(T(0))};
    if constexpr (Rows == 4) {
      // Left of its subdiagonal entry, row k + 3 is zero.
      const V below = a.get(k + 3, k + 2), p = q.v2 * below;
      carried.x2 = -(p * q.t0);
      carried.next = -(p * q.t1);
      a.set(k + 3, k + 2, below - p * q.t2);
    }
    EIGENCORE_EACH(i, 3) {
      _Pragma("GCC unroll 4") for (std::size_t j = i ? 1 : 0; j < 3; ++j) {
        a.set(k + i, k + j, x[i][j]);
      }
    }
  }

  /// Reflectors at k ... k + F - 1, of which `next` is the first: each near the diagonal when it
  /// is found, on the rest of the matrix all in one pass over memory. Each is followed by the
  /// search for the next one, which is long, and then by what neither needs the other for.
  template <std::size_t F, int Rows>
  EIGENCORE_INLINE void chase_together(std::size_t k, const Sweep& sweep, Carried& carried,
                                       Bulge& next) const {
    const std::size_t end = k + F + 2;
    Bulge q[F];
    EIGENCORE_EACH(f, F) {
      q[f] = next;
      around_diagonal<Rows>(q[f], k + f, carried);
      next = bulge_at(k + f + 1, sweep, carried);
      const Bulge one[] = {q[f]};
      from_left<1>(one, k + f, k + f + 3, end);
      from_right<1>(one, k + f, k, k + f);
    }
    from_left<F>(q, k, end, sweep.last + 1);
    from_right<F>(q, k, sweep.top, k);
  }

  void chase(const Window& window, std::size_t last, const Shifts& shifts) const {
    const M active = V(T(0)) <= window.hi;
    const auto top =
        static_cast<std::size_t>(smallest_lane(select(active, window.lo, V(static_cast<T>(n)))));
    const V zero(T(0));
    const Sweep sweep{window, shifts, top, last};
    Carried carried{zero, zero, zero, zero};
    Bulge next = bulge_at(top, sweep, carried);
    std::size_t k = top;
    if constexpr (kFused > 2) {
      for (; k + kManyRows <= last; k += kFused) {
        chase_together<kFused, 4>(k, sweep, carried, next);
      }
    }
    for (; k + 4 <= last; k += 2) chase_together<2, 4>(k, sweep, carried, next);
    for (; k + 3 <= last; ++k) chase_together<1, 4>(k, sweep, carried, next);
    chase_together<1, 3>(k, sweep, carried, next);
    // The last reflector has two rows.
    ++k;
    for (std::size_t j = k; j <= last; ++j) {
      V x0 = a.get(k, j), x1 = a.get(k + 1, j);
      reflect(next, x0, x1);
      a.set(k, j, x0);
      a.set(k + 1, j, x1);
    }
    for (std::size_t i = top; i <= last; ++i) {
      V x0 = a.get(i, k), x1 = a.get(i, k + 1);
      reflect(next, x0, x1);
      a.set(i, k, x0);
      a.set(i, k + 1, x1);
    }
  }
};

}  // namespace eigencore::EIGENCORE_LEVEL
