package event

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// ID identifies an event: eight bytes of the tap's name (xxHash64), then the event's number at that tap, big-endian, so that
// IDs of one tap sort by number.
type ID [16]byte

// NewID returns the ID of event number seq of the tap.
func NewID(tap string, seq uint64) ID {
	var id ID
	binary.BigEndian.PutUint64(id[:8], xxhash.Sum64String(tap))
	binary.BigEndian.PutUint64(id[8:], seq)
	return id
}

// ParseID reads the 32 hexadecimal digits that [ID.String] writes.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, fmt.Errorf("event id %.40q: want %d hexadecimal digits", s, 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("event id %.40q: %w", s, err)
	}
	return id, nil
}

// String returns 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether the ID was never set.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}
