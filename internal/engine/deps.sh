#!/usr/bin/env bash
# Fetches the one thing that Go modules cannot bring: the ClickHouse engine as a shared library (libchdb), for the embedded
# store. Does nothing when a `clickhouse` binary is on the PATH, when WARDER_CHDB_LIB names a library, or when it was fetched before.
#
#   internal/engine/deps.sh           fetch if needed
#   internal/engine/deps.sh --print   only print where the library is, or would be
#
# The version and the SHA-256 are pinned here; internal/engine looks in the same place (a test keeps the two together).
set -euo pipefail

readonly VERSION=26.5.3
readonly TARGET="${XDG_CACHE_HOME:-$HOME/.cache}/warder/engine/$VERSION/libchdb.so"

# say prints a line for people; everything goes to stderr so that --print stays clean.
say() { printf '%s\n' "$*" >&2; }

# die prints what went wrong and what else works.
die() {
	say "deps: $*"
	say ""
	say "Warder's embedded store needs one of these; any one is enough:"
	say "  - npm on the PATH, then run this again (fetches 158 MiB once, into $(dirname "$TARGET"))"
	say "  - a \`clickhouse\` binary on the PATH"
	say "  - the environment variable WARDER_CHDB_LIB naming a libchdb.so that you already have"
	say "  - store.addrs in warder.yaml (for tests: WARDER_CLICKHOUSE) naming a ClickHouse server: then nothing is embedded"
	exit 1
}

# platform sets package, sum (SHA-256 of the package as published), size and unpacked (bytes) for this machine.
platform() {
	case "$(uname -s)-$(uname -m)" in
	Linux-x86_64)
		package=@chdb/lib-linux-x64-gnu
		sum=b874e449710950da3abd7e20376f7bb3387d9e03adcc7082f022be18dfdf316a
		size=166572008 unpacked=559044752
		;;
	*) die "no library with a known checksum for $(uname -s) on $(uname -m): npm cannot help here, one of the others can" ;;
	esac
	if ldd --version 2>&1 | grep -qi musl; then
		die "the library needs glibc and this system has musl: npm cannot help here, one of the others can"
	fi
}

sha256() {
	if command -v sha256sum >/dev/null; then sha256sum "$1" | cut -d' ' -f1; else shasum -a 256 "$1" | cut -d' ' -f1; fi
}

mib() { echo $(($1 / 1048576)); }

# room fails when the cache's file system cannot take the package, npm's copy of it and the unpacked library.
room() {
	local free
	free=$(df -Pk "$(dirname "$TARGET")" | awk 'NR == 2 { print $4 }')
	if ((free * 1024 < 2 * size + unpacked)); then
		die "$(mib $((2 * size + unpacked))) MiB are needed in $(dirname "$TARGET"), $((free / 1024)) MiB are free; XDG_CACHE_HOME moves it"
	fi
}

# fetch downloads the package into $1. npm gets a cache of its own there: its growth is the progress.
fetch() {
	npm pack "$package@$VERSION" --pack-destination "$1" --cache "$1/npm" --silent --no-audit --no-update-notifier \
		>"$1/npm.out" 2>"$1/npm.err" </dev/null &
	local pid=$!
	trap 'kill '"$pid"' 2>/dev/null; exit 130' INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		if [[ -t 2 ]]; then
			local got
			got=$(du -sk "$1/npm" 2>/dev/null | cut -f1) || got=0
			printf '\r  %4d of %d MiB ' $((${got:-0} / 1024)) "$(mib "$size")" >&2
		fi
		sleep 0.2
	done
	if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
	trap - INT TERM
	if ! wait "$pid"; then
		cat "$1/npm.err" "$1/npm.out" >&2
		die "npm could not fetch $package $VERSION (its message is above)"
	fi
}

main() {
	if [[ "${1:-}" == --print ]]; then
		echo "$TARGET"
		return
	fi
	if command -v clickhouse >/dev/null || [[ -s "$TARGET" ]]; then return; fi
	if [[ -n "${WARDER_CHDB_LIB:-}" ]]; then
		[[ -s "$WARDER_CHDB_LIB" ]] || die "WARDER_CHDB_LIB names $WARDER_CHDB_LIB, which is not there"
		return
	fi
	platform
	command -v npm >/dev/null || die "npm is not on the PATH"
	mkdir -p "$(dirname "$TARGET")"
	room

	# Everything happens in a folder of this run's own and ends in one rename: two runs at once do double work and no harm.
	work=$(mktemp -d "$(dirname "$TARGET")/.fetch.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	say "deps: fetching the ClickHouse engine: $package $VERSION, $(mib "$size") MiB, once"
	fetch "$work"

	local tgz got
	tgz=$(ls "$work"/*.tgz)
	got=$(sha256 "$tgz")
	[[ "$got" == "$sum" ]] || die "$package $VERSION has SHA-256 $got, expected $sum: not used"
	say "deps: checksum is right, unpacking $(mib "$unpacked") MiB"
	tar -xmzf "$tgz" -C "$work" package/libchdb.so
	chmod 0644 "$work/package/libchdb.so"
	mv -f "$work/package/libchdb.so" "$TARGET"
	say "deps: ready: $TARGET"
}

main "$@"
