// Package ledger defines the entries of the decision ledger: the append-only, hash-chained, signed record of what was decided,
// why, by whom, where it came into force and how it ended. It writes and reads their exact bytes, links them into chains and
// verifies whole ledgers. docs/audit.md is its manual. The package is a leaf.
package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/warder/warder/internal/decision"
)

// Version is the schema version of an entry.
const Version = 1

// MaxLine bounds an encoded line, in bytes. What an entry tells is bounded by [decision.MaxEncoded], of which JSON makes six times as
// much at worst.
const MaxLine = 128 << 10

// The chains: one for each source topic, so that two owners never write one chain.
const (
	Decisions = "decisions"
	Acks      = "acks"
)

// Kind says what an entry tells.
type Kind string

// The kinds.
const (
	Start      Kind = "ledger.start"      // a signing key joins the chain; the first entry of every chain is one
	Reset      Kind = "ledger.reset"      // the source topic begins anew: its offsets are lower than the ledger's
	Unreadable Kind = "ledger.unreadable" // a record of the source that this program cannot read
	Proposed   Kind = "decision.proposed"
	Active     Kind = "decision.active"
	Approved   Kind = "decision.approved" // a proposal became active
	Extended   Kind = "decision.extended" // an active one ends later than before
	Changed    Kind = "decision.changed"  // an active one says something else, for example another mode
	Repeated   Kind = "decision.repeated" // the same record again, as after a crash
	Expired    Kind = "decision.expired"
	Revoked    Kind = "decision.revoked"
	Removed    Kind = "decision.removed" // the topic forgets the entity
	Switched   Kind = "switch"           // the global switch
	Ack        Kind = "gateway.ack"      // a gateway's watermark moved, or what hinders it changed
	Left       Kind = "gateway.left"     // stopped in order
	Forgotten  Kind = "gateway.removed"  // the topic forgets the gateway
)

// Entry is one entry of a chain. It is immutable.
type Entry struct {
	Version int       `json:"v"`
	Chain   string    `json:"chain"`
	Seq     uint64    `json:"seq"`  // from 1, without gaps
	Prev    string    `json:"prev"` // hash of the entry before; 64 zeros for the first
	Time    time.Time `json:"time"` // of the source's record; of writing, for a start or a reset
	Kind    Kind      `json:"kind"`
	Key     string    `json:"key"`                  // fingerprint of the signing key, see [Fingerprint]
	Public  string    `json:"public_key,omitempty"` // of a start: the key itself, 64 hexadecimal digits
	Source  *Source   `json:"source,omitempty"`     // nil for a start and a reset

	Decision  string           `json:"decision,omitempty"`
	Entity    string           `json:"entity,omitempty"`
	Action    decision.Action  `json:"action,omitempty"`
	Mode      decision.Mode    `json:"mode,omitempty"`
	Creator   string           `json:"creator,omitempty"`
	Approver  string           `json:"approver,omitempty"`
	Guardrail string           `json:"guardrail,omitempty"`
	Note      string           `json:"note,omitempty"`
	Reason    *decision.Reason `json:"reason,omitempty"`
	Expires   time.Time        `json:"expires,omitzero"`
	Replaces  string           `json:"replaces,omitempty"` // id of the decision about the same entity that this one takes the place of
	Gateway   *decision.Ack    `json:"gateway,omitempty"`  // the acknowledgement as it came
	From      *int64           `json:"from,omitempty"`     // of an acknowledgement: the watermark before, -1 for none
	Error     string           `json:"error,omitempty"`    // of an unreadable record
}

// Source is the record that an entry tells of.
type Source struct {
	Topic  string `json:"topic"`
	Offset int64  `json:"offset"`
	SHA256 string `json:"sha256"` // of the record's value, 64 hexadecimal digits
}

// Sum is the hash of an entry as a Source and a line carry it.
func Sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// Zero is what Prev of a chain's first entry is.
func Zero() string { return strings.Repeat("0", hashLen) }

// A line is, byte for byte and without any spaces,
//
//	{"hash":"<64 hex>","sig":"<128 hex>","entry":<entry>}
//
// hash is the SHA-256 of the bytes of <entry> as they stand; sig is the Ed25519 signature of the hash's 32 bytes. Digits are lower
// case. Nothing has to be brought into a canonical form: the bytes that are hashed are the bytes that are kept.
const (
	beforeHash  = `{"hash":"`
	beforeSig   = `","sig":"`
	beforeEntry = `","entry":`
	afterEntry  = `}`
	hashLen     = 2 * sha256.Size
	sigLen      = 2 * ed25519.SignatureSize
	hashAt      = len(beforeHash)
	sigAt       = hashAt + hashLen + len(beforeSig)
	entryAt     = sigAt + sigLen + len(beforeEntry)
)

// Line is an entry with its hash and signature, as it is kept.
type Line struct {
	Entry *Entry
	Hash  string // as the line states it
	sum   string // of the entry's bytes
	sig   []byte
	text  []byte
}

// Text returns the line's bytes, without a line feed. They are shared: do not change them.
func (l *Line) Text() []byte { return l.text }

// Intact tells whether the stated hash is the entry's.
func (l *Line) Intact() bool { return l.Hash == l.sum }

// Signed tells whether the key signed the entry.
func (l *Line) Signed(key ed25519.PublicKey) bool {
	sum, err := hex.DecodeString(l.sum)
	return err == nil && ed25519.Verify(key, sum, l.sig)
}

// Seal encodes and signs the entry.
func Seal(e *Entry, key ed25519.PrivateKey) (*Line, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode ledger entry: %w", err)
	}
	sum := sha256.Sum256(b)
	l := &Line{Entry: e, Hash: hex.EncodeToString(sum[:]), sig: ed25519.Sign(key, sum[:])}
	l.sum = l.Hash
	l.text = bytes.Join([][]byte{[]byte(beforeHash), []byte(l.Hash), []byte(beforeSig), []byte(hex.EncodeToString(l.sig)), []byte(beforeEntry),
		b, []byte(afterEntry)}, nil)
	if len(l.text) > MaxLine {
		return nil, fmt.Errorf("encode ledger entry: %d bytes, limit is %d", len(l.text), MaxLine)
	}
	return l, nil
}

// errForm says that bytes are no line of a ledger.
var errForm = errors.New(`is not of the form {"hash":"…","sig":"…","entry":{…}}`)

// Parse reads a line, without its line feed. It checks the form; whether hash, signature and place are right is for others to ask. The
// line keeps b.
func Parse(b []byte) (*Line, error) {
	if len(b) > MaxLine {
		return nil, fmt.Errorf("line has %d bytes, limit is %d", len(b), MaxLine)
	}
	if len(b) < entryAt+len(afterEntry) || string(b[:hashAt]) != beforeHash || string(b[sigAt-len(beforeSig):sigAt]) != beforeSig ||
		string(b[entryAt-len(beforeEntry):entryAt]) != beforeEntry || string(b[len(b)-1:]) != afterEntry {
		return nil, fmt.Errorf("line %w", errForm)
	}
	hash, sig, entry := string(b[hashAt:hashAt+hashLen]), string(b[sigAt:sigAt+sigLen]), b[entryAt:len(b)-1]
	if !lowerHex(hash) || !lowerHex(sig) {
		return nil, fmt.Errorf("line %w: hash or signature is not in lower-case hexadecimal digits", errForm)
	}
	l := &Line{Entry: new(Entry), Hash: hash, sum: Sum(entry), text: b}
	l.sig, _ = hex.DecodeString(sig) // lowerHex has checked it
	if err := json.Unmarshal(entry, l.Entry); err != nil {
		return nil, fmt.Errorf("entry: %w", err)
	}
	return l, l.Entry.check()
}

func lowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// check tells what makes an entry unfit for a chain.
func (e *Entry) check() error {
	switch {
	case e.Version != Version:
		return fmt.Errorf("entry: schema version %d, this program reads %d", e.Version, Version)
	case e.Chain != Decisions && e.Chain != Acks:
		return fmt.Errorf("entry: unknown chain %.40q", e.Chain)
	case e.Seq == 0:
		return errors.New("entry: seq is missing")
	case len(e.Prev) != hashLen || !lowerHex(e.Prev):
		return errors.New("entry: prev is not a hash")
	case e.Kind == "" || e.Key == "":
		return errors.New("entry: kind or key is missing")
	case e.Source == nil && e.Kind != Start && e.Kind != Reset:
		return errors.New("entry: source is missing")
	}
	return nil
}
