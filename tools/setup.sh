# Functions of ./run that bring what is missing and build. Sourced with $root set; everything they say goes to stderr.

build_dir=$root/build
venv=$root/.venv
offline=${PENSTOCK_OFFLINE:-}
jobs=${PENSTOCK_JOBS:-$(nproc)}
export PIP_DISABLE_PIP_VERSION_CHECK=1 NINJA_STATUS='[%f/%t, %e s] '

say() { printf '[%4d s] %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'run: %s\n' "$*" >&2; exit 1; }

# step TITLE COMMAND...: output to a log; a sign of life every ten seconds; the end of the log on failure.
step() {
  local title=$1 log status=0; shift
  mkdir -p "$build_dir/logs"
  log=$build_dir/logs/$(tr -cs 'a-zA-Z0-9' '_' <<<"$title" | cut -c1-40).log
  say "$title"
  # read, not sleep: a sleep would outlive this and hold our files open.
  (exec {never}<> <(:); while ! read -rt 10 -u "$never"; do say "... $(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"; done) &
  local ticker=$!
  "$@" >"$log" 2>&1 </dev/null || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  if ((status)); then
    tail -n 25 "$log" >&2
    say "failed ($status): $title; all of it is in $log"
  fi
  return "$status"
}

# locked COMMAND...: one installation at a time in this tree.
locked() {
  mkdir -p "$build_dir"
  exec {lock}>"$build_dir/.install-lock"
  flock -n "$lock" || { say "another ./run installs something here; waiting for it"; flock "$lock"; }
  local status=0
  "$@" || status=$?
  exec {lock}>&-
  return "$status"
}

found() { case $1 in /*) [[ -e $1 ]] ;; *) command -v "$1" >/dev/null ;; esac; }

# Any of the alternatives a|b|c; a path may be a pattern.
any_found() {
  local probe
  for probe in ${1//|/ }; do found "$probe" && return; done
  return 1
}

first_command() {
  local name
  for name; do
    command -v "$name" && return
  done
  die "none of these is installed: $*"
}

# The first of the alternatives a|b|c that this distribution has.
available_package() {
  local package
  for package in ${1//|/ }; do
    [[ $(apt-cache policy "$package" 2>/dev/null) == *"Candidate: "[0-9]* ]] && { echo "$package"; return; }
  done
  echo "${1%%|*}"
}

apt_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600)
  command -v apt-get >/dev/null || die "please install these (Debian's names): ${*//|/ or }"
  if ((EUID)); then
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
      sudo true || die "sudo was refused"
      apt=(sudo "${apt[@]}")
    else
      die "packages are missing and this user may not install them. As root, type:
    apt-get update && apt-get install --no-install-recommends ${*//|*/}"
    fi
  fi
  local name names=()
  for name; do names+=("$(available_package "$name")"); done
  step "installing Debian packages: ${names[*]}" "${apt[@]}" install -y --no-install-recommends "${names[@]}" && return
  step "reading the lists of Debian packages" "${apt[@]}" update || die "apt-get update failed"
  names=()
  for name; do names+=("$(available_package "$name")"); done
  step "installing Debian packages: ${names[*]}" "${apt[@]}" install -y --no-install-recommends "${names[@]}" ||
    die "apt-get could not install: ${names[*]}"
}

# need_debian PURPOSE...: the packages of tools/requirements/PURPOSE.apt.
need_debian() {
  local purpose probe package missing=()
  for purpose; do
    [[ -e $root/tools/requirements/$purpose.apt ]] || continue
    while read -r probe package; do
      any_found "$probe" || missing+=("$package")
    done <"$root/tools/requirements/$purpose.apt"
  done
  if [[ ! -x $venv/bin/python && ! $offline && ! ${PENSTOCK_BASE_PYTHON:-} ]]; then
    choose_python >/dev/null 2>&1 || missing+=(python3 python3-venv python3-dev)
  fi
  ((${#missing[@]})) || return 0
  if [[ $offline ]]; then
    say "offline, going on without: ${missing[*]}"
  else
    locked apt_install "${missing[@]}"
  fi
}

# Prints nothing when PYTHON will do, else what it lacks.
python_lacks() {
  "$1" - <<'PY' 2>/dev/null || echo "does not start"
import importlib.util, os, sys, sysconfig
if sys.version_info < (3, 11):
    print("is version %d.%d, and 3.11 is needed" % sys.version_info[:2])
elif not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")):
    print("has no headers (python3-dev)")
elif importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
    print("can't make virtual environments (python3-venv)")
PY
}

choose_python() {
  local python lacks
  for python in ${PENSTOCK_BASE_PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}; do
    found "$python" || continue
    lacks=$(python_lacks "$python")
    if [[ -z $lacks ]]; then
      "$python" -c 'import sys; print(sys.executable)'
      return
    fi
    say "$python $lacks"
  done
  return 1
}

make_venv() {
  [[ -x $venv/bin/python ]] && return
  local python options=()
  if [[ $offline ]]; then
    python=${PENSTOCK_BASE_PYTHON:-python3}
    options=(--system-site-packages --without-pip)
  elif ! python=$(choose_python); then
    die "Python 3.11 or newer was not found. Install one, and set PENSTOCK_BASE_PYTHON to its path."
  fi
  rm -rf "$venv"
  step "making .venv with $python" "$python" -m venv "${options[@]}" "$venv" || die "no virtual environment, no build"
  if [[ $offline ]]; then # the packages of a Python that is itself a virtual environment are no "system" ones
    "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
      >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"
  fi
}

pip_install() {
  local purpose=$1 list=$root/tools/requirements/$1.txt
  make_venv
  if [[ $offline ]]; then
    if [[ -d $root/.deps/wheels ]]; then
      step "installing Python packages from .deps/wheels: $purpose" \
        "$venv/bin/python" -m pip install --no-index --find-links "$root/.deps/wheels" -r "$list" ||
        say "offline, going on with what this Python has"
    fi
  else
    step "installing Python packages: $purpose" "$venv/bin/python" -m pip install --progress-bar off -r "$list" ||
      die "pip could not install $list"
    if [[ $purpose == interop ]]; then
      step "installing PyTorch for the CPU (600 MB)" "$venv/bin/python" "$root/tools/torch_cpu.py" ||
        die "PyTorch could not be made to run; the message above says where it stopped"
    fi
  fi
  mkdir -p "$venv/.done"
  cp "$list" "$venv/.done/$purpose.txt"
}

# need_pip PURPOSE...: the packages of tools/requirements/PURPOSE.txt, in .venv.
need_pip() {
  local purpose
  for purpose; do
    [[ -e $root/tools/requirements/$purpose.txt ]] || continue
    if [[ ! -x $venv/bin/python || ! -e $venv/.done/$purpose.txt ||
      $(<"$venv/.done/$purpose.txt") != "$(<"$root/tools/requirements/$purpose.txt")" ]]; then
      locked pip_install "$purpose"
    fi
  done
}

# configure PRESET [CMAKE ARGUMENTS...]
configure() {
  local preset=$1 dir=$build_dir/$1; shift
  [[ -e $dir/build.ninja && -e $dir/.configured && $(<"$dir/.configured") == "$venv" && $# == 0 ]] && return
  need_debian build
  need_pip build
  local python=ON
  "$venv/bin/python" -c 'import nanobind' 2>/dev/null || { python=AUTO; say "this Python has no nanobind: no Python module"; }
  case $preset in
    ubsan | tsan) python=OFF ;;
    fuzz) python=OFF; set -- -DCMAKE_CXX_COMPILER="$(first_command clang++-19 clang++-18 clang++-17)" "$@" ;;
  esac
  step "configuring build/$preset" cmake -S "$root" --preset "$preset" -DPython_EXECUTABLE="$venv/bin/python" \
    -DPENSTOCK_PYTHON=$python "$@" || exit 1
  printf '%s' "$venv" >"$dir/.configured"
}

# compile PRESET [TARGETS...]: all targets when none is named. Says nothing when there is nothing to do.
compile() {
  local preset=$1 targets=(); shift
  (($#)) && targets=(--target "$@")
  exec {build_lock}>"$build_dir/$preset/.lock"
  flock "$build_lock"
  cmake --build "$build_dir/$preset" -j "$jobs" "${targets[@]}" 2>&1 |
    { grep --line-buffered -v -e 'no work to do' -e 'Re-checking globbed' || true; } >&2 ||
    die "the build of build/$preset failed"
  exec {build_lock}>&-
}
