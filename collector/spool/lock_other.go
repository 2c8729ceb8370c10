//go:build !unix

package spool

import "os"

// lockDir only opens the file: this system has no lock that dies with its process.
func lockDir(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}
