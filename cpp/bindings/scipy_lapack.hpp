#pragma once

#include <cstddef>

namespace eigencore::bindings {

/// Hands the core the LAPACK that scipy brings, on the first call for matrices that it serves
/// (n >= kLapackFrom). Without scipy, or with a BLAS whose threads cannot be told to wait, Eigen
/// does its work. Needs the GIL.
void provide_lapack(std::size_t n);

/// Whether LAPACK may be used from here on; for tests and benchmarks.
void allow_lapack(bool allowed);

/// Eigen alone, while this is in scope.
class WithoutLapack {
 public:
  WithoutLapack();
  ~WithoutLapack();
  WithoutLapack(const WithoutLapack&) = delete;
  WithoutLapack& operator=(const WithoutLapack&) = delete;
};

}  // namespace eigencore::bindings
