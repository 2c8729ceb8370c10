package chhttp

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newInfile makes a file in memory for the data of one insert; name is what the engine opens it by. The file is gone once
// closed.
func newInfile(string) (f *os.File, name string, err error) {
	fd, err := unix.MemfdCreate("insert", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, "", fmt.Errorf("make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), "insert"), fmt.Sprintf("/proc/self/fd/%d", fd), nil
}

// dropInfile frees what newInfile made.
func dropInfile(f *os.File) { _ = f.Close() }
