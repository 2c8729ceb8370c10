#!/usr/bin/env bash
# Runs every fuzz target for the given time (default 10s), one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
span=${1:-10s}
count=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
while IFS=: read -r file target; do
  dir=$(dirname "$file")
  echo "fuzz $dir $target ($span)"
  # The Go tool now and then reports its own deadline as a failure, without a failing input: that is none.
  if ! go test "./$dir" -run '^$' -fuzz "^${target}\$" -fuzztime "$span" -fuzzminimizetime 50x 2>&1 | tee "$log"; then
    grep -q '^    context deadline exceeded$' "$log" && ! grep -q 'Failing input' "$log" || exit 1
  fi
  count=$((count + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -oHE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/' | sort)
[ "$count" -gt 0 ] || { echo "no fuzz target found" >&2; exit 1; }
echo "fuzz: $count targets, nothing found"
