#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "eigencore/kernels.hpp"
#include "lane_kernels.hpp"

namespace eigencore {

#define EIGENCORE_DECLARE_LEVEL(space) \
  namespace space {                    \
  extern const Level level;            \
  }
EIGENCORE_DECLARE_LEVEL(portable)
#if defined(EIGENCORE_X86_LEVELS)
EIGENCORE_DECLARE_LEVEL(x86_64_v2)
EIGENCORE_DECLARE_LEVEL(x86_64_v3)
EIGENCORE_DECLARE_LEVEL(x86_64_v4)
#endif

namespace {

/// The levels that this machine runs, slowest first.
std::vector<const Level*> runnable_levels() {
  std::vector<const Level*> levels{&portable::level};
#if defined(EIGENCORE_X86_LEVELS)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt")) {
    levels.push_back(&x86_64_v2::level);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")) {
    levels.push_back(&x86_64_v3::level);
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    levels.push_back(&x86_64_v4::level);
  }
#endif
  return levels;
}

const Level& level_named(const char* name) {
  const auto levels = runnable_levels();
  std::string names;
  for (const Level* level : levels) {
    if (std::strcmp(level->name, name) == 0) return *level;
    names += std::string(names.empty() ? "" : ", ") + level->name;
  }
  throw std::invalid_argument(std::string(name) +
                              " is no instruction-set level of this machine; it runs " + names);
}

const Level& level_at_first() {
  const char* const asked = std::getenv("EIGENCORE_ARCH");
  return asked && *asked ? level_named(asked) : *runnable_levels().back();
}

std::atomic<const Level*>& level_in_force() {
  static std::atomic<const Level*> level{&level_at_first()};
  return level;
}

}  // namespace

const Level& active_level() { return *level_in_force().load(std::memory_order_relaxed); }

const char* active_arch() { return active_level().name; }

void use_arch(const char* name) { level_in_force().store(&level_named(name)); }

std::vector<const char*> available_arches() {
  std::vector<const char*> names;
  for (const Level* level : runnable_levels()) names.push_back(level->name);
  return names;
}

}  // namespace eigencore
