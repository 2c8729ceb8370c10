package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait is how long a child waits for the folder: a predecessor whose parent was killed needs a moment to go.
const lockWait = 20 * time.Second

// acquireLock takes the folder for this process. The kernel gives it up when the process ends, however it ends, and when
// whoever inherited the file has ended too.
func acquireLock(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the data folder's lock: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, fmt.Errorf("lock the data folder: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			holder, _ := os.ReadFile(f.Name())
			_ = f.Close()
			return nil, fmt.Errorf("the data folder %s is in use by another engine (process %.20s): stop the other Warder, or give this one a folder of its own with engine.dir or data_dir", dir, strings.TrimSpace(string(holder)))
		}
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write the data folder's lock: %w", err)
	}
	return f, nil
}
