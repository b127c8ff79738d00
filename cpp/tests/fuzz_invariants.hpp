#pragma once

// What must hold of the results of any batch. A broken rule ends the process with a message.

#include <complex>

#include "../src/row_metrics.hpp"
#include "../src/spectrum_metrics.hpp"
#include "eigencore/status.hpp"
#include "fuzz_case.hpp"

namespace eigencore::fuzz {

/// Which entries of a matrix a call reads.
enum class Part { all, lower, diagonal };

/// One matrix of a case, divided by a power of two so that its largest entry is in [1/2, 1).
class Matrix {
 public:
  Matrix(const Case& batch, std::size_t matrix, std::size_t n, Part part);

  const Case& batch;
  const std::size_t matrix, n;
  bool finite = true;
  int exponent = 0;
  double norm = 0, trace = 0;  ///< Frobenius; both of the scaled matrix

  /// A number of the spectrum as one of the scaled matrix.
  double scaled(double x) const;
  /// What a backward stable solver may add to a spectrum, and what Real cannot tell apart.
  template <class Real>
  double error() const;
  /// Whether the spectrum may leave the range of Real.
  template <class Real>
  bool may_overflow() const;
};

/// The status of a matrix must be ok exactly where what is read is finite, up to overflow.
template <class Real>
void check_status(const Matrix& a, Status status);

/// values: (n_of_batch,), of which a.n are the spectrum and the others NaN; all are NaN unless
/// status is ok.
template <class Real>
void check_eigenvalues(const Matrix& a, const std::complex<Real>* values, std::size_t n_of_batch,
                       Status status);
/// other: singular values of the same matrix from the reference, or null where it has none.
template <class Real>
void check_singular_values(const Matrix& a, const Real* values, const Real* other,
                           std::size_t n_of_batch, Status status);

/// row: kMetricCount metrics of magnitudes (a.n,), downwards, where those are known, else null.
void check_metrics(const Matrix& a, const double* row, const double* magnitudes, Spectrum spectrum,
                   Status status);

/// table: (kRowMetricCount, count, n).
void check_row_metrics(const Case& batch, const double* table, const Status* status);

}  // namespace eigencore::fuzz
