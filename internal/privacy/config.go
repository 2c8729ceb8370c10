// Package privacy keeps people's identifiers out of the history: it replaces them by pseudonyms before they are stored. Detection and
// enforcement work on the real ones, which leave the bus when its retention ends.
package privacy

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/warder/warder/internal/config"
)

// The identifiers that can be replaced.
const (
	Principals = "principal" // who proved or claimed an identity
	Addresses  = "address"   // client and peer addresses
)

// KeySize is the length of the key in bytes.
const KeySize = 32

// Config says what the store gets to see. Without fields it sees everything.
type Config struct {
	Pseudonymise []string      `yaml:"pseudonymise"` // principal, address
	Key          config.Secret `yaml:"key"`          // 64 hexadecimal digits: `warder privacy key new FILE`
}

// Validate reports every fault as a config.FieldError.
func (c Config) Validate() error {
	var errs []error
	for i, f := range c.Pseudonymise {
		if f != Principals && f != Addresses {
			errs = append(errs, config.Errorf(fmt.Sprintf("pseudonymise[%d]", i), "%.40q is unknown: write %s or %s", f, Principals, Addresses))
		}
	}
	if len(c.Pseudonymise) > 0 || c.Key.IsSet() {
		if _, err := c.key(); err != nil {
			errs = append(errs, config.Errorf("key", "%v: make one with `warder privacy key new FILE` and write {file: FILE}", err))
		}
	}
	return errors.Join(errs...)
}

func (c Config) key() ([]byte, error) {
	if !c.Key.IsSet() {
		return nil, errors.New("is missing, though identifiers are to be pseudonymised")
	}
	text := strings.TrimSpace(c.Key.Reveal())
	if len(text) != 2*KeySize {
		return nil, fmt.Errorf("has %d characters, want %d hexadecimal digits", len(text), 2*KeySize)
	}
	key, err := hex.DecodeString(text)
	if err != nil {
		return nil, errors.New("is not hexadecimal")
	}
	if slices.Max(key) == 0 {
		return nil, errors.New("is all zeros, as a destroyed key is")
	}
	return key, nil
}
