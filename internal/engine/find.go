package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// LibraryVersion is the version of libchdb that internal/engine/deps.sh fetches.
const LibraryVersion = "26.5.3"

// LibraryEnv is the environment variable that names a libchdb.so.
const LibraryEnv = "WARDER_CHDB_LIB"

// minMajor is the oldest ClickHouse, by the year in its version, whose SQL the store speaks.
const minMajor = 24

// kind says which of the two engines it is; the values are also what stands in the folder's marker file.
type kind string

const (
	binary  kind = "clickhouse"
	library kind = "libchdb"
)

// candidate is an engine that was found.
type candidate struct {
	kind kind
	path string
}

// find returns the engine to use for the data folder: a binary before a library, but for a folder that was already used the
// kind that made it, so that data does not seem to vanish when a binary is installed later.
func find(ctx context.Context, cfg Config, dir string, log *slog.Logger) (candidate, error) {
	marker := filepath.Join(dir, "kind")
	made, err := os.ReadFile(marker)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return candidate{}, fmt.Errorf("embedded engine: read which engine made the data: %w", err)
	}
	want := kind(strings.TrimSpace(string(made)))
	for _, look := range []func() (candidate, bool){
		func() (candidate, bool) { return findBinary(ctx, cfg, log) },
		func() (candidate, bool) { return findLibrary(cfg) },
	} {
		c, ok := look()
		if !ok || want != "" && c.kind != want {
			continue
		}
		if want == "" {
			if err := os.WriteFile(marker, []byte(c.kind+"\n"), 0o600); err != nil {
				return candidate{}, fmt.Errorf("embedded engine: %w", err)
			}
		}
		return c, nil
	}
	if want != "" {
		return candidate{}, fmt.Errorf("embedded engine: the data in %s was made by %s, which is not there any more; %s", dir, want, remedy())
	}
	return candidate{}, fmt.Errorf("embedded engine: no ClickHouse engine found; %s", remedy())
}

func remedy() string {
	return "do one of: run `make deps` (fetches libchdb with npm), put a `clickhouse` binary (version " + strconv.Itoa(minMajor) +
		" or newer) on the PATH, set " + LibraryEnv + " to a libchdb.so, or set store.addrs to a ClickHouse server"
}

// findBinary looks for a usable clickhouse binary.
func findBinary(ctx context.Context, cfg Config, log *slog.Logger) (candidate, bool) {
	name := cfg.Binary
	if name == "" {
		name = "clickhouse"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		if cfg.Binary != "" {
			log.Warn("the configured clickhouse binary cannot be used", "path", cfg.Binary, "err", err)
		}
		return candidate{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "local", "--version").Output()
	if major := majorVersion(string(out)); err != nil || major < minMajor {
		log.Warn("the clickhouse binary is passed over: too old, or it does not tell its version", "path", path, "major", major, "oldest", minMajor)
		return candidate{}, false
	}
	return candidate{binary, path}, true
}

// majorVersion reads "ClickHouse local version 26.5.1.1 (official build)."; 0 when there is no version.
func majorVersion(out string) int {
	m := regexp.MustCompile(`version (\d{1,4})\.\d+`).FindStringSubmatch(out)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// findLibrary looks for libchdb in the configuration, the environment and the cache, in this order.
func findLibrary(cfg Config) (candidate, bool) {
	path := cfg.Library
	if path == "" {
		path = os.Getenv(LibraryEnv)
	}
	if path == "" {
		path = cachedLibrary()
	}
	st, err := os.Stat(path)
	if err != nil || st.IsDir() || st.Size() == 0 {
		return candidate{}, false
	}
	abs, err := filepath.Abs(path)
	return candidate{library, abs}, err == nil
}

// cachedLibrary is where internal/engine/deps.sh puts the library, on every system.
func cachedLibrary() string {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	return filepath.Join(cache, "warder", "engine", LibraryVersion, "libchdb.so")
}
