package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/warder/warder/internal/config"
)

// TokenFile is the name, in the data directory, of the file with the token that the API makes for the machine's own command line.
const TokenFile = "api.token"

// localToken reads the machine's own token from the data directory, or makes it: 256 random bits, readable by the owner alone.
func localToken(dir string) (Token, error) {
	t := Token{Name: "local", Role: Approve}
	if dir == "" {
		return t, config.Errorf("tokens", "there is none, and no data_dir to keep one in: set either")
	}
	file := filepath.Join(dir, TokenFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeToken(dir, file)
	}
	if err != nil {
		return t, fmt.Errorf("api token: %w", err)
	}
	t.Token = config.NewSecret(strings.TrimSpace(string(text)))
	if len(t.Token.Reveal()) < minToken {
		return t, fmt.Errorf("api token: %s is cut short; remove it, and the next start makes a new one", file)
	}
	return t, nil
}

// makeToken writes a new token. A link puts the whole file in place, and fails when another process was first: then its token holds.
func makeToken(dir, file string) ([]byte, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	raw := make([]byte, 32)
	rand.Read(raw)                                 // never fails
	tmp, err := os.CreateTemp(dir, TokenFile+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(hex.EncodeToString(raw) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(tmp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(file)
}
