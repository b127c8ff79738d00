#pragma once

// LAPACK for one matrix at a time, through routines that the caller hands over: the core links
// none.

#include <cstddef>

namespace eigencore {

/// By their Fortran calling convention: everything by address, matrices by columns.
struct LapackRoutines {
  using Geev = void (*)(char* jobvl, char* jobvr, int* n, void* a, int* lda, void* wr, void* wi,
                        void* vl, int* ldvl, void* vr, int* ldvr, void* work, int* lwork,
                        int* info);
  using Gesdd = void (*)(char* jobz, int* m, int* n, void* a, int* lda, void* s, void* u, int* ldu,
                         void* vt, int* ldvt, void* work, int* lwork, int* iwork, int* info);
  Geev dgeev = nullptr, sgeev = nullptr;
  Gesdd dgesdd = nullptr, sgesdd = nullptr;
  /// Sets how many threads the library's BLAS uses and returns how many it did. It gets one while
  /// the core calls: its threads wait by spinning, and on a busy machine cost a hundred times what
  /// they save.
  int (*set_num_threads)(int) = nullptr;
};

/// Below this size Eigen is as fast.
inline constexpr std::size_t kLapackFrom = 32;

/// All of them, or none to take LAPACK away again. Not while kernels are at work.
void use_lapack(const LapackRoutines&);
bool has_lapack();

/// Both destroy a (n x n, by rows or by columns alike), and return false where LAPACK is missing or
/// did not converge.
template <class Real>
bool lapack_eigenvalues(std::size_t n, Real* a, Real* re, Real* im);
template <class Real>
bool lapack_singular_values(std::size_t n, Real* a, Real* sigma);

}  // namespace eigencore
