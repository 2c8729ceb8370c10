#!/usr/bin/env bash
# Runs every benchmark, with a real Kafka on loopback beside the embedded broker where this machine can start one.
#   .ci/bench.sh BENCHTIME
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
stop() {
  [ ! -d "$work/kafka" ] || .ci/kafka.sh stop "$work/kafka" || true
  rm -rf "$work"
}
trap stop EXIT
if [ -z "${WARDER_KAFKA:-}" ]; then
  if command -v java >/dev/null && command -v mvn >/dev/null; then
    eval "$(.ci/kafka.sh start "$work/kafka")"
  else
    echo "no java or mvn: the benchmarks against a real Kafka are left out" >&2
  fi
fi
# One package at a time: two at once would measure each other.
"${GO:-go}" test -p 1 -run '^$' -bench . -benchmem -benchtime "${1:-1s}" ./...
