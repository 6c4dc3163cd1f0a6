#!/usr/bin/env bash
# The CUDA backend on a machine with an NVIDIA GPU: builds the tests of the device contract and the
# program that times it, runs them, and leaves what they say in FOLDER: machine.txt, summary.txt and an
# output for each run. Needs g++ and the CUDA toolkit (13 or newer); no network. The headers of doctest
# and fmt come from .deps/include (./run deps fills it) or from the system. COMMIT is for a tree without
# git.
# usage: tools/gpu_probe.sh FOLDER [COMMIT]
set -uo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
(($# == 1 || $# == 2)) || { echo "usage: tools/gpu_probe.sh FOLDER [COMMIT]" >&2; exit 2; }
mkdir -p "$1"
out=$(cd -- "$1" && pwd)
build=$root/build/gpu_probe
cuda=${CUDA_HOME:-/usr/local/cuda}
[[ -e $cuda/include/cuda.h ]] || cuda=$(dirname -- "$(dirname -- "$(readlink -f -- "$(command -v nvcc)")")")
[[ -e $cuda/include/cuda.h ]] || { echo "gpu_probe: no CUDA toolkit in $cuda; set CUDA_HOME" >&2; exit 2; }
commit=${2:-$(git -C "$root" describe --always --abbrev=12 --exclude='*' --dirty 2>/dev/null || echo unknown)}
mkdir -p "$build"
failed=0
say() { printf '[%4d s] %s\n' "$SECONDS" "$*" | tee -a "$out/summary.txt"; }
: >"$out/summary.txt"
rm -f "$out/build.txt"

# run NAME SECONDS COMMAND...: output to NAME in the folder, the verdict to the summary.
run() {
  local name=$1 limit=$2 status=0
  shift 2
  timeout "$limit" "$@" >"$out/$name" 2>&1 || status=$?
  say "$name: $([[ $status == 0 ]] && echo passed || echo "FAILED ($status)"), $(tail -n 1 "$out/$name" | cut -c1-120)"
  [[ $status == 0 ]] || failed=1
}

cd -- "$root" || exit 2
export CXX=${CXX:-g++} build
# Without two warnings: g++ takes a cast from base to derived for one from nullptr, and g++ 13 sees a
# copy out of bounds in the big numbers of fmt 9, in every object.
export FLAGS="-std=c++20 -O2 -g -Wall -Wextra -Wno-stringop-overflow -Wno-array-bounds -DFMT_HEADER_ONLY=1 -pthread -Isrc -Iinclude -isystem .deps/include -isystem $cuda/include"
# shellcheck disable=SC2086,SC2317
compile() { $CXX $FLAGS -c "$1" -o "$build/$(tr / _ <<<"$1").o" || echo "failed: $1"; }
export -f compile
shopt -s nullglob
library=(src/{base,trace,trace/no_nvtx,exec,backend,backend/host,backend/cuda}/*.cpp)
tests=(tests/cpp/main.cpp tests/cpp/test_backend_*.cpp)
rm -f "$build"/*
printf '%s\n' "${library[@]}" "${tests[@]}" bench/cpp/cuda_floor.cpp | xargs -P "$(nproc)" -I{} bash -c 'compile {}' >"$build/log.txt" 2>&1
objects() { local file; for file; do echo "$build/${file//\//_}.o"; done; }
cudart=("$cuda"/lib64/libcudart_static.[a] "$cuda"/targets/*/lib/libcudart_static.a)
link() {
  local files
  mapfile -t files < <(objects "${@:2}")
  "$CXX" -pthread "${files[@]}" "${cudart[0]}" -ldl -lrt -o "$build/$1" >>"$build/log.txt" 2>&1
}
if ! link tests "${library[@]}" "${tests[@]}" || ! link cuda_floor "${library[@]}" bench/cpp/cuda_floor.cpp; then
  say "the build failed"
  grep -E 'error|failed:|undefined' "$build/log.txt" | head -n 20 | cut -c1-400 >"$out/build.txt"
  tail -n 30 "$build/log.txt" | cut -c1-400 | tee -a "$out/build.txt"
  exit 1
fi
say "built, $(grep -c 'warning:' "$build/log.txt") warnings"
grep 'warning:' "$build/log.txt" | sort | uniq -c | sort -rn | head -n 20
{
  echo "commit: $commit"
  echo "date: $(date -u +%Y-%m-%dT%H:%MZ)"
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | head -n 4 | sed 's/^/GPU, driver, memory: /'
  echo "CUDA toolkit: $("$cuda/bin/nvcc" --version 2>/dev/null | sed -n 's/.*release //p')"
  echo "compiler: $("$CXX" --version | head -n 1)"
  echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
} | tee "$out/machine.txt"

run tests.txt 300 "$build/tests"
CUDA_VISIBLE_DEVICES='' run tests_no_gpu.txt 120 "$build/tests"
run floor.json 120 "$build/cuda_floor"
run fault.json 60 "$build/cuda_floor" --fault
PATH=$PATH:$cuda/bin:$cuda/compute-sanitizer
if sanitizer=$(command -v compute-sanitizer); then
  run memcheck.txt 300 "$sanitizer" --tool memcheck --report-api-errors no --error-exitcode 9 "$build/tests"
else
  say "memcheck: skipped, there is no compute-sanitizer"
fi
exit $failed
