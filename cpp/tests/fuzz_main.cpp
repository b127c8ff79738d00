// Runs the fuzz target on seeded random bytes where the compiler has no libFuzzer:
//   fuzz_spectra SECONDS [SEED]      inputs of SEED, SEED + 1, ... for so long
//   fuzz_spectra --seed SEED         the input of one seed again
// The seed of an input that ends the process is printed last.

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
/// What the sanitizers find ends in SIGABRT too.
extern "C" const char* __asan_default_options() { return "abort_on_error=1"; }
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }

namespace {

constexpr std::size_t kLongestInput = 160;
/// An input takes milliseconds. One that takes this long hangs.
constexpr unsigned kHangsAfterSeconds = 120;

volatile std::uint64_t current_seed = 0;

void print_seed() {
  std::fprintf(stderr, "fuzz_spectra: repeat with --seed %llu\n",
               static_cast<unsigned long long>(current_seed));
}

void die(int signal) {
  if (signal == SIGALRM) std::fprintf(stderr, "fuzz_spectra: hangs\n");
  print_seed();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(std::uint64_t seed) {
  current_seed = seed;
  std::mt19937_64 random(seed);
  std::vector<std::uint8_t> bytes(random() % (kLongestInput + 1));
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  alarm(kHangsAfterSeconds);
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  alarm(0);
}

}  // namespace

int main(int argc, char** argv) {
  const bool one = argc == 3 && std::strcmp(argv[1], "--seed") == 0;
  if (!one && argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: fuzz_spectra SECONDS [SEED] | --seed SEED\n");
    return 2;
  }
  for (const int signal : {SIGABRT, SIGALRM}) std::signal(signal, die);
  const std::uint64_t first = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 1;
  if (one) {
    run(first);
    return 0;
  }
  const std::chrono::duration<double> limit(std::strtod(argv[1], nullptr));
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t seed = first;
  for (; std::chrono::steady_clock::now() - start < limit; ++seed) run(seed);
  std::printf("fuzz_spectra: %llu inputs, seeds %llu to %llu, no finding\n",
              static_cast<unsigned long long>(seed - first), static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(seed - 1));
  return 0;
}
