#pragma once

// Singular values of W bidiagonal matrices in lockstep: the differential quotient-difference
// algorithm with shifts of Fernando and Parlett (Numer. Math. 67, 1994). A step of a sweep takes
// one division and no root, where implicit QR takes two of each. What becomes of shifts that were
// too large is after Parlett and Marques (Linear Algebra Appl. 309, 2000).

#include "lane_matrix.hpp"

namespace eigencore::EIGENCORE_LEVEL {

template <class T, std::size_t K>
class Dqds {
  using V = Lanes<T, K>;
  using M = Mask<T, K>;
  static constexpr std::size_t W = V::width;

 public:
  /// Numbers of T that the work space holds; more than bidiagonalisation takes.
  static std::size_t workspace(std::size_t n) { return 4 * (n + 1) * W; }

  /// d: (n, W), the diagonal, on return singular values downwards. e: (n, W), of which n - 1 are
  /// the superdiagonal, overwritten. Entries are at most of the order of n. Returns the lanes that
  /// did not converge.
  static M run(std::size_t n, T* d, T* e, T* work) {
    Dqds self{n, d, e, work};
    self.square();
    const M failed = self.iterate();
    self.write_values();
    return failed;
  }

 private:
  const std::size_t n;
  T* const values;  // squares of singular values, as they are found
  // Squares of the diagonal and of the superdiagonal. A sweep reads these and writes the next ones.
  T *q, *e, *next_q, *next_e;
  T* const waiting;  // shifts taken off blocks that wait, at their last row
  V negligible{};    // a square at most this large binds nothing

  Dqds(std::size_t n, T* d, T* e, T* work)
      : n(n),
        values(d),
        q(work),
        e(e),
        next_q(work + (n + 1) * W),
        next_e(work + 2 * (n + 1) * W),
        waiting(work + 3 * (n + 1) * W) {}

  /// The block that each lane works on: rows lo ... hi, three or more; hi = -1 where all is done.
  struct Window {
    V lo, hi;
    V sum;          // of its shifts
    V end, before;  // pivots of the last sweep at rows hi and hi - 1, -1 where there has been none
    V least;        // of those at rows lo ... hi - 1
    bool cut_amidst;  // whether an entry amidst a lane's window is to be cut
  };

  /// Squares, from the end whose entries are larger.
  void square() {
    V largest(T(0));
    for (std::size_t k = 0; k < n; ++k) {
      largest = max(largest, abs(V::load(values + k * W)));
      if (k + 1 < n) largest = max(largest, abs(V::load(e + k * W)));
    }
    const V threshold = largest * V(Limits<T>::epsilon * T(0.5));
    negligible = max(threshold * threshold, V(Limits<T>::smallest_normal));
    const M turn = abs(V::load(values)) < abs(V::load(values + (n - 1) * W));
    reverse_where(turn, values, n);
    reverse_where(turn, e, n - 1);
    for (std::size_t k = 0; k < n; ++k) {
      const V x = V::load(values + k * W), y = k + 1 < n ? V::load(e + k * W) : V(T(0));
      (x * x).store(q + k * W);
      (y * y).store(e + k * W);
    }
  }

  static void reverse_where(const M& mask, T* x, std::size_t size) {
    if (none(mask)) return;
    for (std::size_t i = 0, j = size; i + 1 < j; ++i) {
      --j;
      const V a = V::load(x + i * W), b = V::load(x + j * W);
      select(mask, b, a).store(x + i * W);
      select(mask, a, b).store(x + j * W);
    }
  }

  M iterate() {
    const V zero(T(0)), unknown(T(-1));
    Window window{zero, V(static_cast<T>(n - 1)), zero, unknown, unknown, unknown, true};
    V forced = unknown;  // the shift after one that was too large
    for (std::size_t sweep = 0; sweep < 20 * n + 40; ++sweep) {
      // Most cuts are at the end of a window. What a lane finds above its own is looked for when
      // it comes to it.
      if (!window.cut_amidst) narrow<false>(window);
      if (window.cut_amidst) narrow<true>(window);
      window.cut_amidst = false;
      const T last = largest_lane(window.hi);
      if (last < T(0)) break;
      const auto end = static_cast<std::size_t>(last);
      const V shift = select(zero <= forced, forced, shift_of(window, end));
      forced = any(zero < window.lo) ? transform<true>(window, end, shift)
                                     : transform<false>(window, end, shift);
    }
    return zero <= window.hi;
  }

  /// Takes rows that negligible entries cut off in ones and twos from the ends of the lanes'
  /// windows. All of it: looks through all rows for where windows begin, too, and goes on with
  /// blocks that wait. Else it stops at the beginning of a window, and asks for all of it.
  template <bool all>
  void narrow(Window& window) const {
    const V zero(T(0)), one(T(1)), unknown(T(-1));
    const V begin = window.lo;
    const T top_row = largest_lane(window.hi);
    const auto last = static_cast<std::size_t>(top_row < T(0) ? T(0) : top_row);
    if constexpr (all) window.lo = zero;
    M cut = is_cut(last), open = zero <= window.hi;
    V row(top_row);
    for (std::size_t k = last; k >= 1; --k, row = row - one) {
      const M cut_above = is_cut(k - 1);
      M ends = window.hi == row;
      if constexpr (all) {
        enter_block(window, ends & (row < begin), k);
      } else {
        ends = ends & (begin <= row);
      }
      const M single = ends & cut, pair = ends & ~cut & cut_above;
      if (any(single | pair)) {
        write_where(single, k, V::load(q + k * W), window.sum);
        store_where(single, zero, e + (k - 1) * W);
        if (any(pair)) solve_pair(pair, k, window.sum);
        if (k > 1) store_where(pair, zero, e + (k - 2) * W);
        window.end = select(single, window.before, select(pair, unknown, window.end));
        window.before = select(single | pair, unknown, window.before);
        window.hi = select(single, row - one, select(pair, row - one - one, window.hi));
      }
      if constexpr (all) {
        const M starts = cut & (row <= window.hi);
        window.lo = max(window.lo, zero_unless(starts, row));
        store_where(starts & (begin < row), window.sum, waiting + (k - 1) * W);
      } else {
        open = open & (begin <= window.hi) & ~(ends & ~single & ~pair);
        if (none(open)) break;
      }
      cut = cut_above;
    }
    M at_top = window.hi == zero;
    if constexpr (!all) {
      window.cut_amidst = any((zero <= window.hi) & (window.hi < begin));
      at_top = at_top & (begin == zero);
    }
    if (any(at_top)) {
      if constexpr (all) enter_block(window, at_top & (zero < begin), 0);
      write_where(at_top, 0, V::load(q), window.sum);
      window.hi = select(at_top, unknown, window.hi);
    }
  }

  /// Whether nothing binds row k to the one above.
  EIGENCORE_INLINE M is_cut(std::size_t k) const {
    if (k == 0) return V(T(0)) == V(T(0));
    return V::load(e + (k - 1) * W) <= negligible;
  }

  /// For lanes whose window now ends at row k of a block that has waited.
  EIGENCORE_INLINE void enter_block(Window& window, const M& lanes, std::size_t k) const {
    if (none(lanes)) return;
    const V unknown(T(-1));
    window.sum = select(lanes, V::load(waiting + k * W), window.sum);
    window.end = select(lanes, unknown, window.end);
    window.before = select(lanes, unknown, window.before);
    window.least = select(lanes, unknown, window.least);
  }

  EIGENCORE_INLINE void write_where(const M& lanes, std::size_t k, const V& square,
                                    const V& sum) const {
    store_where(lanes, max(square, V(T(0))) + sum, values + k * W);
  }

  /// The two eigenvalues of rows k - 1 and k, which nothing binds to others.
  void solve_pair(const M& pair, std::size_t k, const V& sum) const {
    const V half(T(0.5)), tiny(Limits<T>::smallest_normal);
    const V x = V::load(q + (k - 1) * W), b = V::load(e + (k - 1) * W), y = V::load(q + k * W);
    // (x + b + y)^2 - 4 x y without cancellation
    const V difference = x + b - y;
    const V root = sqrt(difference * difference + rounded(V(T(4)) * b * y));
    const V larger = half * (x + b + y + root);
    write_where(pair, k - 1, larger, sum);
    write_where(pair, k, x * (y / max(larger, tiny)), sum);
  }

  /// A shift close to, and mostly below, the least eigenvalue of each lane's window: where the last
  /// pivot is the least, by the continued fraction of the last three rows of R L, with the gap to
  /// the third halved for what is above it.
  V shift_of(const Window& window, std::size_t last) const {
    const V zero(T(0)), one(T(1)), half(T(0.5)), quarter(T(0.25));
    V q0(T(0)), e1(T(0)), q1(T(0)), e2(T(0)), q2(T(0));
    for (std::size_t k = last; k >= 2; --k) {
      const M ends_here = window.hi == V(static_cast<T>(k));
      if (n > kFewRows && none(ends_here)) continue;
      q0 = select(ends_here, V::load(q + k * W), q0);
      e1 = select(ends_here, V::load(e + (k - 1) * W), e1);
      q1 = select(ends_here, V::load(q + (k - 1) * W), q1);
      e2 = select(ends_here, V::load(e + (k - 2) * W), e2);
      q2 = select(ends_here, V::load(q + (k - 2) * W), q2);
    }
    const V end = window.end;
    const M end_known = zero <= end, known = zero <= window.least;
    const V least = select(end_known, min(end, window.least), window.least);
    const V third = (q2 + e2 - end) * half;
    const M third_above = zero < third;
    const V second = q1 + e1 - end - q1 * e2 / select(third_above, third, one);
    const M second_above = third_above & (zero < second);
    const V from_end = end - q0 * e1 / select(second_above, second, one);
    const M at_end = end_known & (end <= window.least) & second_above;
    return zero_unless(known, select(at_end, max(from_end, quarter * least), quarter * least));
  }
  /// Below, branches cost more than what they save.
  static constexpr std::size_t kFewRows = 16;

  /// One sweep over the windows of all lanes. A lane whose shift was too large is left as it was;
  /// returns the shift to try next there, and -1 elsewhere. Rows below a window are done with, and
  /// nothing that is written there counts. blocks: there are rows above some window, to be kept.
  template <bool blocks>
  V transform(Window& window, std::size_t end, const V& shift) {
    const V zero(T(0)), one(T(1)), unknown(T(-1));
    const M active = zero <= window.hi;
    V pivot = V::load(q) - shift, last(T(0)), before(T(0)), least(Limits<T>::largest);
    V here = V::load(q), row(T(0));
    // The least e of rows up to hi - 3: in the middle of the window.
    V amidst(Limits<T>::largest), e1(Limits<T>::largest), e2(Limits<T>::largest);
    for (std::size_t i = 0; i < end; ++i) {
      const V off = V::load(e + i * W), below = V::load(q + (i + 1) * W), next_row = row + one;
      M acts = row < window.hi;
      if constexpr (blocks) pivot = select(window.lo == row, here - shift, pivot);
      const V sum = pivot + off, ratio = below / sum;
      V new_q = sum, new_e = zero_unless(acts, off * ratio);
      if constexpr (blocks) {
        const M above = row < window.lo;
        new_q = select(above, here, new_q);
        new_e = select(above, off, new_e);
        acts = acts & ~above;
      }
      new_q.store(next_q + i * W);
      new_e.store(next_e + i * W);
      amidst = select(acts, min(e2, amidst), amidst);
      e2 = e1;
      e1 = blocks ? select(acts, new_e, e1) : new_e;
      least = select(acts, min(pivot, least), least);
      const M ends = next_row == window.hi;
      before = select(ends, pivot, before);
      pivot = pivot * ratio - shift;
      last = select(ends, pivot, last);
      here = below;
      row = next_row;
    }
    pivot.store(next_q + end * W);
    return settle(window, end, shift, active, last, before, least, amidst);
  }

  /// Keeps what a sweep made of the lanes where no pivot fell below zero.
  V settle(Window& window, std::size_t end, const V& shift, const M& active, V last,
           const V& before, const V& least, const V& amidst) {
    const V zero(T(0)), unknown(T(-1));
    const M fits_above = zero <= least;
    // As good as zero: what is below zero is rounding of what has been taken off.
    const V rounding = V(T(4) * Limits<T>::epsilon) * (window.sum + shift);
    const M fits = active & fits_above & (-rounding <= last), failed = active & ~fits;
    window.sum = select(fits, window.sum + shift, window.sum);
    window.end = select(fits, max(last, zero), window.end);
    window.before = select(fits, before, window.before);
    window.least = select(fits, least, window.least);
    window.cut_amidst = any(active & (amidst <= negligible));
    V next = unknown;
    if (any(failed)) {
      for (std::size_t i = 0; i <= end; ++i) {
        store_where(failed, V::load(q + i * W), next_q + i * W);
        if (i < end) store_where(failed, V::load(e + i * W), next_e + i * W);
      }
      // Where only the last pivot fell below zero, the shift was too large by as much.
      const V excess = shift + last;
      const M late = fits_above & (zero < excess);
      const V smaller =
          select(late, excess * V(T(1) - T(4) * Limits<T>::epsilon), shift * V(T(0.25)));
      next = select(failed, zero_unless(negligible <= smaller, smaller), unknown);
    }
    T *const old_q = q, *const old_e = e;
    q = next_q;
    e = next_e;
    next_q = old_q;
    next_e = old_e;
    return next;
  }

  /// From the squares, downwards.
  void write_values() const {
    for (std::size_t k = 0; k < n; ++k) {
      sqrt(V::load(values + k * W)).store(values + k * W);
    }
    sorting_network(n, [this](std::size_t i, std::size_t j) {
      const V x = V::load(values + i * W), y = V::load(values + j * W);
      max(x, y).store(values + i * W);
      min(x, y).store(values + j * W);
    });
  }
};

}  // namespace eigencore::EIGENCORE_LEVEL
