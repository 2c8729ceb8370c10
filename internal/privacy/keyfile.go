package privacy

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// NewKeyFile writes a fresh key to a file that only its owner can read. A file that is there is never overwritten.
func NewKeyFile(path string) error {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: destroy that key first, or name another file", path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// DestroyKeyFile overwrites the key with zeros and removes the file: from then on nobody can tell whom the pseudonyms made with it stand for.
// Copies elsewhere, and older blocks of a journaling or copying file system, are beyond its reach.
func DestroyKeyFile(path string) error {
	key, err := ReadKeyFile(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Repeat("0", len(key)))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Remove(path)
}

// ReadKeyFile returns the key in a file, as it is written there, or says that it is none.
func ReadKeyFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(f, 4*KeySize))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(b))
	if _, err = hex.DecodeString(key); err != nil || len(key) != 2*KeySize {
		return "", fmt.Errorf("%s does not hold a key of `warder privacy key new`", path)
	}
	return key, nil
}
