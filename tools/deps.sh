# Fills .deps for a machine without a network: headers always, wheels with --wheels [PURPOSES]. The purpose
# peers goes to .deps/peers, made smaller for a machine with one kind of GPU (PENSTOCK_SM, 90 if not set).
# Sourced by ./run. Copy the tree with .deps to that machine and set PENSTOCK_OFFLINE=1 there.

need_debian build
mkdir -p "$root/.deps/include"
for header in doctest fmt; do
  [[ -d /usr/include/$header ]] || die "/usr/include/$header is missing: install it and try again"
  cp -rL "/usr/include/$header" "$root/.deps/include/"
done
say ".deps/include: doctest fmt"

if [[ ${1:-} == --wheels ]]; then
  shift
  python_version=
  [[ ${1:-} == --python ]] && { python_version=$2; shift 2; }
  (($#)) || set -- build test
  need_pip build
  if [[ " $* " == *" peers "* ]]; then
    platforms=()
    for glibc in 39 35 34 31 28 27 24 17; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
    step "downloading wheels: peers" "$venv/bin/python" -m pip download --progress-bar off -d "$root/.deps/peers" \
      --no-deps --only-binary=:all: --implementation cp --python-version "${python_version:-3.12}" "${platforms[@]}" \
      --platform manylinux2014_x86_64 -r "$root/tools/requirements/peers.txt" || die "pip download failed"
    for wheel in "$root"/.deps/peers/*.whl; do
      step "making smaller: ${wheel##*/}" "$venv/bin/python" "$root/tools/slim_wheel.py" "$wheel" \
        --python "${python_version:-3.12}" --sm "${PENSTOCK_SM:-90}" || die "the wheel could not be made smaller"
    done
    say ".deps/peers: $(du -sh "$root/.deps/peers" | cut -f1)"
    # shellcheck disable=SC2046
    set -- $(printf '%s\n' "$@" | grep -vx peers)
    (($#)) || return 0
  fi
  options=()
  [[ $python_version ]] && options=(--python-version "$python_version" --only-binary=:all:)
  for purpose; do
    [[ -e $root/tools/requirements/$purpose.txt ]] || die "there is no tools/requirements/$purpose.txt"
    options+=(-r "$root/tools/requirements/$purpose.txt")
  done
  step "downloading wheels: $*" "$venv/bin/python" -m pip download --progress-bar off -d "$root/.deps/wheels" \
    "${options[@]}" || die "pip download failed"
  say ".deps/wheels: $(ls "$root/.deps/wheels" | wc -l) files, $(du -sh "$root/.deps/wheels" | cut -f1)"
fi
