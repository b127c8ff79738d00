#include "lapack.hpp"

#include <algorithm>
#include <mutex>
#include <type_traits>
#include <vector>

namespace eigencore {

namespace {

LapackRoutines routines;

/// The number of BLAS threads belongs to the process: the first caller takes it down to one, the
/// last one puts it back.
class OneBlasThread {
 public:
  OneBlasThread() {
    const std::lock_guard lock(mutex_);
    if (callers_++ == 0) before_ = routines.set_num_threads(1);
  }
  ~OneBlasThread() {
    const std::lock_guard lock(mutex_);
    if (--callers_ == 0) routines.set_num_threads(before_);
  }
  OneBlasThread(const OneBlasThread&) = delete;
  OneBlasThread& operator=(const OneBlasThread&) = delete;

 private:
  inline static std::mutex mutex_;
  inline static int callers_ = 0, before_ = 1;
};

template <class Real>
LapackRoutines::Geev geev() {
  return std::is_same_v<Real, double> ? routines.dgeev : routines.sgeev;
}
template <class Real>
LapackRoutines::Gesdd gesdd() {
  return std::is_same_v<Real, double> ? routines.dgesdd : routines.sgesdd;
}

/// Calls call(work, lwork, info) for the size of the work space, then with it.
template <class Real, class Call>
bool with_work(const Call& call) {
  const OneBlasThread one_thread;
  Real wanted = 0;
  int lwork = -1, info = 0;
  call(&wanted, &lwork, &info);
  if (info != 0) return false;
  lwork = std::max(1, static_cast<int>(wanted));
  std::vector<Real> work(static_cast<std::size_t>(lwork));
  call(work.data(), &lwork, &info);
  return info == 0;
}

}  // namespace

void use_lapack(const LapackRoutines& given) { routines = given; }
bool has_lapack() { return routines.dgeev && routines.sgeev && routines.dgesdd && routines.sgesdd; }

template <class Real>
bool lapack_eigenvalues(std::size_t n, Real* a, Real* re, Real* im) {
  if (!has_lapack()) return false;
  const auto solve = geev<Real>();
  int size = static_cast<int>(n), one = 1;
  char no = 'N';
  Real none = 0;
  return with_work<Real>([&](Real* work, int* lwork, int* info) {
    solve(&no, &no, &size, a, &size, re, im, &none, &one, &none, &one, work, lwork, info);
  });
}

template <class Real>
bool lapack_singular_values(std::size_t n, Real* a, Real* sigma) {
  if (!has_lapack()) return false;
  const auto solve = gesdd<Real>();
  int size = static_cast<int>(n), one = 1;
  char no = 'N';
  Real none = 0;
  std::vector<int> iwork(8 * n);
  return with_work<Real>([&](Real* work, int* lwork, int* info) {
    solve(&no, &size, &size, a, &size, sigma, &none, &one, &none, &one, work, lwork, iwork.data(),
          info);
  });
}

template bool lapack_eigenvalues(std::size_t, double*, double*, double*);
template bool lapack_eigenvalues(std::size_t, float*, float*, float*);
template bool lapack_singular_values(std::size_t, double*, double*);
template bool lapack_singular_values(std::size_t, float*, float*);

}  // namespace eigencore
