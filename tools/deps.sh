# Fills .deps for a machine without a network: headers always, wheels with --wheels [PURPOSES].
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
