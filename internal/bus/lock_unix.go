//go:build unix

package bus

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockDir takes the directory for this process, or says who may have it. The lock ends with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, "warder.lock")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w: another process has this data directory open; stop it or use another directory", name, err)
	}
	return f, nil
}
