//go:build !linux

package chhttp

import (
	"fmt"
	"os"
)

// newInfile makes a temporary file in dir for the data of one insert; name is what the engine opens it by.
func newInfile(dir string) (f *os.File, name string, err error) {
	f, err = os.CreateTemp(dir, "insert-*")
	if err != nil {
		return nil, "", fmt.Errorf("make a file for the insert: %w", err)
	}
	return f, f.Name(), nil
}

// dropInfile frees what newInfile made.
func dropInfile(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}
