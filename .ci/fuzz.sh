#!/usr/bin/env bash
# Runs every fuzz target for the given time (default 10s), one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
span=${1:-10s}
count=0
while IFS=: read -r file target; do
  dir=$(dirname "$file")
  echo "fuzz $dir $target ($span)"
  go test "./$dir" -run '^$' -fuzz "^${target}\$" -fuzztime "$span"
  count=$((count + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -oHE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/' | sort)
[ "$count" -gt 0 ] || { echo "no fuzz target found" >&2; exit 1; }
echo "fuzz: $count targets, nothing found"
