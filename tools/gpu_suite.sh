#!/usr/bin/env bash
# Builds, tests and measures on a machine with an NVIDIA GPU and no network, stage by stage, and leaves what
# they say in FOLDER, in few files: summary.txt (a verdict for each step), machine.txt, an output for each stage,
# bench.json (the rows of all benchmarks). A step that fails or takes too long leaves the next ones alone.
# Needs g++, CMake, ninja, the CUDA toolkit, and a Python with nanobind, PyTorch, CuPy and pytest. Headers come
# from .deps/include (./run deps) or the system, peers of the benchmarks from .deps/peers (./run deps --wheels peers).
# usage: tools/gpu_suite.sh FOLDER [--commit HASH] [--seconds N] STAGE...
#   stages: machine build tests memcheck bench; N bounds all of them together (540 if not given)
set -uo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2; }

(($# >= 2)) || usage
mkdir -p -- "$1" && out=$(cd -- "$1" && pwd) || exit 2
shift
commit='' budget_s=540 stages=()
while (($#)); do
  case $1 in
    --commit) commit=${2:-} ;;
    --seconds) budget_s=${2:-} ;;
    machine | build | tests | memcheck | bench) stages+=("$1") ;;
    *) usage ;;
  esac
  if [[ $1 == --* ]]; then
    (($# >= 2)) || usage
    shift
  fi
  shift
done
((${#stages[@]})) || usage
[[ $budget_s =~ ^[0-9]+$ ]] || usage
cd -- "$root" || exit 2
[[ $commit ]] || commit=$(git describe --always --abbrev=12 --exclude='*' --dirty 2>/dev/null || echo unknown)

export PENSTOCK_OFFLINE=1 PYTHONUNBUFFERED=1
cuda=${CUDA_HOME:-/usr/local/cuda}
export PATH=$PATH:$cuda/bin:$cuda/compute-sanitizer
python=$root/.venv/bin/python
failures=()

say() { printf '[%4d s] %s\n' "$SECONDS" "$*" | tee -a "$out/summary.txt"; }

# step STAGE NAME SECONDS COMMAND...: output to STAGE.txt, the verdict to the summary, the end of a failure to both.
step() {
  local stage=$1 name=$2 limit=$3 status=0 begun=$SECONDS log=$out/$1.txt left=$((budget_s - SECONDS)) start
  shift 3
  if ((left < 5)); then
    say "$name: not run, no time left"
    failures+=("$name")
    return 1
  fi
  ((limit > left)) && limit=$left
  printf '\n==== %s: %s\n' "$name" "$*" >>"$log"
  start=$(($(stat -c %s "$log") + 1))
  timeout -k 10 "$limit" "$@" >>"$log" 2>&1 </dev/null || status=$?
  local output
  output=$(tail -c "+$start" "$log" | tr -d '\r')
  if ((status)); then
    ((status == 124 || status == 137)) && name="$name (stopped after $limit s)"
    failures+=("$name")
    say "$name: FAILED ($status) in $((SECONDS - begun)) s"
    # What names the failure, then the end.
    grep -E '^(FAILED|ERROR)|error:|Error:|ERROR:|FAILED' <<<"$output" | cut -c1-300 | head -n 25 | tee -a "$out/summary.txt"
    tail -n 25 <<<"$output" | cut -c1-300 | tee -a "$out/summary.txt"
  else
    local told
    told=$(grep -E '^[0-9]+ rows on ' <<<"$output" || grep -v '^[[:space:]]*$' <<<"$output")
    say "$name: passed in $((SECONDS - begun)) s, $(tail -n 1 <<<"$told" | cut -c1-150)"
  fi
  if (($(stat -c %s "$log") > 8000000)); then # what comes back is limited
    { echo "(the beginning was cut off)"; tail -c 4000000 "$log"; } >"$log.cut" && mv "$log.cut" "$log"
  fi
  return "$status"
}

skip() { say "$2: skipped, $3" && echo "==== $2: skipped, $3" >>"$out/$1.txt"; }

stage_machine() {
  {
    echo "commit: $commit"
    echo "date: $(date -u +%Y-%m-%dT%H:%MZ)"
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | sed 's/^/GPU, driver, memory: /'
    echo "CUDA toolkit: $(nvcc --version 2>/dev/null | sed -n 's/.*release //p')"
    echo "compiler: $("${CXX:-g++}" --version | head -n 1)"
    echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
    python3 - <<'PY'
import importlib.metadata, platform
names = "numpy torch cupy-cuda13x numba jax nanobind pytest pytest-xdist".split()
found = []
for name in names:
    try:
        found.append(f"{name} {importlib.metadata.version(name)}")
    except importlib.metadata.PackageNotFoundError:
        found.append(f"no {name}")
print(f"Python {platform.python_version()}:", ", ".join(found))
PY
    echo "peers: $(cd "$root/.deps/peers" 2>/dev/null && echo ./*.whl | sed 's/-py3[^ ]*\|-cp3[^ ]*//g; s/\.\///g')"
  } >"$out/machine.txt" 2>&1
  cat "$out/machine.txt"
}

stage_build() {
  # Without errors for warnings: another g++ has others.
  step build "build release" 300 ./run build release -DCMAKE_CUDA_ARCHITECTURES=90-real -DPENSTOCK_WERROR=OFF
  step build "build dev" 300 ./run build dev -DPENSTOCK_WERROR=OFF
  if compgen -G "$root/.deps/peers/*.whl" >/dev/null; then
    rm -rf "$root/build/peers"
    step build "peers" 60 python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir \
      --target "$root/build/peers" "$root"/.deps/peers/*.whl
  else
    skip build peers "there is no wheel in .deps/peers"
  fi
}

run_pytest() { # NAME SECONDS ARGUMENTS...
  local name=$1 limit=$2
  shift 2
  PYTHONPATH=$root/build/dev/python PENSTOCK_BUILD_DIR=$root/build/dev step tests "$name" "$limit" \
    "$python" -m pytest -q -p no:cacheprovider --timeout=120 --tb=short "$@"
}

stage_tests() {
  local parallel=()
  PENSTOCK_TEST_TIMEOUT_S=120 step tests "C++ suite" 200 build/dev/tests/cpp/penstock_tests --no-colors=true
  if compgen -G "$root/tests/gpu/test_*.py" >/dev/null; then
    run_pytest "tests/gpu" 300 tests/gpu -rs
  else
    skip tests tests/gpu "there are none"
  fi
  "$python" -c 'import xdist' 2>/dev/null && parallel=(-n "$(($(nproc) > 4 ? $(nproc) / 2 : 2))" --dist loadfile)
  run_pytest "tests/python --device cuda" 300 tests/python --device cuda --continue-on-collection-errors "${parallel[@]}"
}

stage_memcheck() {
  local tests=build/dev/tests/cpp/penstock_tests cases=('--test-case=*[memcheck]*')
  local tool=(compute-sanitizer --tool memcheck --report-api-errors no --error-exitcode 9)
  if ! command -v compute-sanitizer >/dev/null; then
    skip memcheck memcheck "there is no compute-sanitizer"
    return
  fi
  if [[ $("$tests" --no-colors=true --count "${cases[@]}" 2>/dev/null) == *"filters: 0"* ]]; then
    say "memcheck: no case is tagged [memcheck]; those of the backend are taken"
    cases=('--source-file=*test_backend_*')
  fi
  PENSTOCK_TEST_TIMEOUT_S=500 step memcheck "memcheck" 480 "${tool[@]}" "$tests" --no-colors=true "${cases[@]}"
}

# bench_step NAME SECONDS ARGUMENTS...: runs ./run bench NAME; its rows join bench.json, also when it is stopped.
bench_step() {
  local name=$1 limit=$2 rows=$root/build/gpu_suite/$1.json status=0
  shift 2
  rm -f "$rows"
  step bench "bench $name${*:+ $*}" "$limit" ./run bench "$name" --json "$rows" "$@" || status=$?
  pack "$name" "$rows"
  return "$status"
}

pack() { # NAME FILE: the JSON of the file as a member of bench.json
  [[ -s $2 ]] || return 0
  python3 - "$out/bench.json" "$1" "$2" <<'PY' || say "$1: its JSON could not be read"
import json, pathlib, sys
path = pathlib.Path(sys.argv[1])
every = json.loads(path.read_text()) if path.exists() else {}
rows = json.loads(pathlib.Path(sys.argv[3]).read_text())
every[sys.argv[2]] = every.get(sys.argv[2], []) + rows if isinstance(rows, list) else rows
path.write_text(json.dumps(every, indent=1) + "\n")
PY
}

stage_bench() {
  local floor=$root/build/release/bench/cpp/cuda_floor
  mkdir -p "$root/build/gpu_suite"
  # In processes of their own: one that hangs takes no other with it.
  bench_step gpu_runtime 180 --parts frames
  bench_step gpu_runtime 60 --parts steps
  bench_step gpu_runtime 60 --parts around --no-peers
  bench_step gpu_tensor 120
  bench_step gpu_runtime 90 --parts order
  bench_step gpu_runtime 120 --parts host start
  if [[ -x $floor ]]; then
    # shellcheck disable=SC2016
    step bench "floor" 60 bash -c '"$1" >"$2" && tail -n 3 "$2"' - "$floor" "$root/build/gpu_suite/floor.json"
    pack floor "$root/build/gpu_suite/floor.json"
  else
    skip bench floor "cuda_floor was not built: no CUDA compiler was found"
  fi
  bench_step tensor 60
  bench_step runtime 90
}

for stage in "${stages[@]}"; do
  say "-- $stage"
  "stage_$stage"
done
if ((${#failures[@]})); then
  say "FAILED: $(printf '%s; ' "${failures[@]}")"
  exit 1
fi
say "all passed"
