#include "pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace eigencore {

namespace {

constexpr double kWorthThreadsNs = 0.5e6;
/// Ranges per thread: enough to even out groups that take longer than others.
constexpr std::size_t kRangesPerThread = 8;

using Body = std::function<void(std::size_t, std::size_t)>;

/// A call under way. Whoever takes part takes ranges until there are none left.
struct Job {
  const Body& body;
  const std::size_t count, range;
  std::atomic<std::size_t> next{0};
  std::mutex error_mutex;
  std::exception_ptr error;

  void take_part() {
    for (;;) {
      const std::size_t begin = next.fetch_add(range);
      if (begin >= count) return;
      try {
        body(begin, std::min(begin + range, count));
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
      }
    }
  }
};

/// Threads that wait for jobs. It is never destroyed: its threads may outlive every destructor.
class Pool {
 public:
  /// False where another call is using the pool.
  bool run(Job& job, std::size_t threads) {
    const std::unique_lock owner(owner_, std::try_to_lock);
    if (!owner) return false;
    {
      const std::lock_guard lock(mutex_);
      while (started_ + 1 < threads) {
        std::thread(&Pool::serve, this, started_).detach();
        ++started_;
      }
      job_ = &job;
      helpers_ = threads - 1;
      running_ = helpers_;
      ++generation_;
    }
    wake_.notify_all();
    job.take_part();
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
    job_ = nullptr;
    return true;
  }

 private:
  std::mutex owner_, mutex_;
  std::condition_variable wake_, done_;
  std::size_t started_ = 0, helpers_ = 0, running_ = 0, generation_ = 0;
  Job* job_ = nullptr;

  void serve(std::size_t index) {
    std::size_t seen = 0;
    for (;;) {
      Job* job = nullptr;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_ != seen && job_ != nullptr; });
        seen = generation_;
        if (index >= helpers_) continue;
        job = job_;
      }
      job->take_part();
      const std::lock_guard lock(mutex_);
      if (--running_ == 0) done_.notify_one();
    }
  }
};

std::atomic<Pool*> pool_in_use{nullptr};

/// The threads of a pool do not survive a fork: the child begins with none.
void forget_pool() { pool_in_use.store(nullptr); }

Pool& pool() {
#if defined(__unix__) || defined(__APPLE__)
  static const int registered = pthread_atfork(nullptr, nullptr, &forget_pool);
  (void)registered;
#endif
  Pool* known = pool_in_use.load();
  if (known) return *known;
  auto* const made = new Pool;
  if (pool_in_use.compare_exchange_strong(known, made)) return *made;
  delete made;
  return *known;
}

std::size_t threads_at_first() {
  if (const char* text = std::getenv("EIGENCORE_NUM_THREADS")) {
    const long asked = std::strtol(text, nullptr, 10);
    if (asked >= 1) return static_cast<std::size_t>(asked);
  }
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&allowed)));
  }
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

std::atomic<std::size_t>& threads() {
  static std::atomic<std::size_t> count{threads_at_first()};
  return count;
}

}  // namespace

std::size_t num_threads() { return threads().load(); }

void set_num_threads(std::size_t count) { threads().store(std::max<std::size_t>(count, 1)); }

void parallel_for(std::size_t count, double ns_each, const Body& body) {
  if (count == 0) return;
  const std::size_t used = std::min(num_threads(), count);
  if (used > 1 && static_cast<double>(count) * ns_each >= kWorthThreadsNs) {
    const std::size_t ranges = std::min(count, used * kRangesPerThread);
    Job job{body, count, (count + ranges - 1) / ranges, {}, {}, {}};
    if (pool().run(job, used)) {
      if (job.error) std::rethrow_exception(job.error);
      return;
    }
  }
  body(0, count);
}

}  // namespace eigencore
