#pragma once

#include <cstddef>
#include <vector>

namespace eigencore {

/// The eigen metrics of `count` growing causal matrices, updated as each gains a row.
/// An appended row brings one eigenvalue, its self-weight, and leaves the others as they are; so
/// entropy and its kin are running sums, and the order statistics come from an insertion into a
/// sorted list.
class RunningSpectra {
 public:
  explicit RunningSpectra(std::size_t count);

  /// log_magnitudes: (count), ln of the new eigenvalues, -inf for 0. out: (count, kMetricCount).
  /// NaN in a series makes all of its later metrics NaN and touches no other.
  void append(const double* log_magnitudes, double* out);

  std::size_t count() const { return series_.size(); }
  std::size_t length() const { return length_; }

 private:
  struct Series {
    std::vector<double> descending;
    double sum = 0, sum_m_ln_m = 0, sum_of_squares = 0, sum_ln_m = 0;
    double phi = 0;
    bool broken = false;

    void insert(double magnitude);
    void metrics(double* out) const;
  };
  std::vector<Series> series_;
  std::size_t length_ = 0;
};

}  // namespace eigencore
