package spool

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
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

// identity is under which epoch a spool numbers events. Numbers must never be used twice under one epoch. The spool survives the
// death of the process without fsync, but not that of the machine: records that were already shipped may be missing after a
// power cut. So when the machine started anew without the spool having been closed, the spool starts a new epoch. It also does
// when there is no identity file, which is how [Spool.disown] says that numbers were used that the disk does not know.
type identity struct {
	epoch, bootID string
	fresh         bool // the epoch is new
	unsaved       bool // the file does not say so: the disk did not take it
}

func readIdentity(dir, bootID string) (identity, error) {
	b, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return identity{}, err
	}
	_, cleanErr := os.Stat(filepath.Join(dir, cleanFile))
	if f := strings.Fields(string(b)); len(f) == 2 && len(f[0]) == 16 && (f[1] == bootID || cleanErr == nil) {
		id := identity{epoch: f[0], bootID: bootID}
		if f[1] == bootID || id.save(dir) == nil {
			return id, nil
		}
	}
	var r [8]byte
	if _, err := rand.Read(r[:]); err != nil {
		return identity{}, err
	}
	id := identity{epoch: hex.EncodeToString(r[:]), bootID: bootID, fresh: true}
	// A full disk must not keep a gateway from starting. Without the file, or with the one before, the next start has a new epoch.
	id.unsaved = id.save(dir) != nil
	return id, nil
}

func (id identity) save(dir string) error {
	return replaceFile(filepath.Join(dir, identityFile), id.epoch+" "+id.bootID+"\n")
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
