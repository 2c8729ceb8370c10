package spool

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names of the files beside the segments.
const (
	identityFile = "identity"
	cleanFile    = "clean" // exists while the spool is closed in good order
	cursorFile   = "cursor"
	lockFile     = "lock"
)

// identity returns the epoch under which this spool numbers events, and whether it is new. Numbers must never be used twice
// under one epoch. The spool survives the death of the process without fsync, but not that of the machine: records that were
// already shipped may be missing after a power cut. So when the machine started anew without the spool having been closed, the
// spool starts a new epoch.
func identity(dir, bootID string) (epoch string, fresh bool, err error) {
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	_, cleanErr := os.Stat(filepath.Join(dir, cleanFile))
	if f := strings.Fields(string(b)); len(f) == 2 && len(f[0]) == 16 {
		if f[1] == bootID {
			return f[0], false, nil
		}
		if cleanErr == nil {
			return f[0], false, replaceFile(path, f[0]+" "+bootID+"\n")
		}
	}
	var r [8]byte
	if _, err := rand.Read(r[:]); err != nil {
		return "", false, err
	}
	epoch = hex.EncodeToString(r[:])
	return epoch, true, replaceFile(path, epoch+" "+bootID+"\n")
}

// machineBoot names the current run of the machine; "-" where the system does not tell.
func machineBoot() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if id := strings.TrimSpace(string(b)); err == nil && id != "" {
		return id
	}
	return "-"
}

// replaceFile writes the file so that a reader sees the old content or the new one, never a part.
func replaceFile(path, content string) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// position is a place in the spool: the next record to ship.
type position struct {
	segment uint64
	offset  int64
}

func writeCursor(dir string, p position) error {
	body := fmt.Sprintf("%d %d", p.segment, p.offset)
	return replaceFile(filepath.Join(dir, cursorFile), fmt.Sprintf("%s %08x\n", body, checksum([]byte(body))))
}

// readCursor returns the zero position when there is no usable cursor: then everything is shipped again.
func readCursor(dir string) position {
	b, err := os.ReadFile(filepath.Join(dir, cursorFile))
	if err != nil {
		return position{}
	}
	var p position
	var sum uint32
	if _, err := fmt.Sscanf(string(b), "%d %d %x", &p.segment, &p.offset, &sum); err != nil || p.offset < 0 ||
		sum != checksum(fmt.Appendf(nil, "%d %d", p.segment, p.offset)) {
		return position{}
	}
	return p
}
