#!/usr/bin/env bash
# The core under AddressSanitizer and UndefinedBehaviorSanitizer: its Python tests, then the fuzz target.
#   scripts/sanitize.sh [SECONDS]     how long to fuzz, 600 by default
# Needs g++, and a Python environment with the test extra, cmake, ninja, pybind11 and cmeel-eigen. Compiling takes a
# quarter of an hour and 1 GB; EIGENCORE_BUILD_JOBS compiles several files at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
build=build/sanitize

echo "== build"
cmake --preset sanitize -DCMAKE_CXX_COMPILER=g++ \
  -DPython_EXECUTABLE="$(command -v python)" -Dpybind11_DIR="$(python -m pybind11 --cmakedir)"
nice cmake --build --preset sanitize -j "${EIGENCORE_BUILD_JOBS:-1}"

echo "== tests of the core"
# The package as it stands, with the sanitised module in it.
rm -rf "$build/python"
mkdir -p "$build/python"
cp -r python/eigencore "$build/python/"
rm -f "$build"/python/eigencore/_core*.so
cp "$build"/_core*.so "$build/python/eigencore/"
# Python itself is not sanitised, so the runtimes come first; libstdc++ with them, or they miss its exceptions. It leaks
# at exit by design.
runtimes=
for library in libasan.so libubsan.so libstdc++.so; do
  runtimes+="$(realpath "$(g++ -print-file-name=$library)") "
done
LD_PRELOAD="$runtimes" PYTHONPATH="$build/python" \
  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
  python -m pytest -p no:cacheprovider tests/test_arrays.py tests/test_lanes.py tests/test_linalg.py \
  tests/test_structured_spectra.py tests/metrics

echo "== fuzzing for $seconds seconds"
EIGENCORE_NUM_THREADS=2 "$build/fuzz_spectra" "$seconds" "$RANDOM$RANDOM"
