package ledger

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Code names a kind of problem.
type Code string

// The codes.
const (
	CodeUnreadable Code = "unreadable"   // bytes that are no entry
	CodeAltered    Code = "altered"      // the hash is not the entry's
	CodeSignature  Code = "signature"    // the signature is not the key's
	CodeKey        Code = "key"          // signed by a key that is not believed, or has not joined
	CodeMissing    Code = "missing"      // entries are not there
	CodeBroken     Code = "broken"       // an entry does not follow the one before
	CodeMisplaced  Code = "misplaced"    // an entry where none belongs: inserted or moved
	CodeTruncated  Code = "truncated"    // the end is missing, as far as --head knows it
	CodeHead       Code = "head"         // another entry stands where --head was noted
	CodeClock      Code = "clock"        // time goes back
	CodeNobody     Code = "nobody"       // active, and neither a rule nor a person answers for it
	CodeNoExpiry   Code = "no-expiry"    // active without an end
	CodeNoEnd      Code = "no-end"       // long past its expiry, and nobody wrote the end
	CodeSource     Code = "source-order" // records of the source are told twice or out of order
)

// Tolerances.
const (
	maxBackwards = 10 * time.Minute // between the clocks of several enforcers
	endGrace     = time.Hour        // for the entry of a decision's end
	maxOpen      = 1 << 20          // decisions in force whose end is waited for
)

// Problem is one fault of a ledger.
type Problem struct {
	Line  uint64 `json:"line"` // of the input, from 1; 0 when it is about the whole
	Chain string `json:"chain,omitempty"`
	Seq   uint64 `json:"seq,omitempty"`
	Code  Code   `json:"code"`
	Says  string `json:"says"`
}

// Head is the end of a chain as it was noted some time.
type Head struct {
	Chain string `json:"chain"`
	Seq   uint64 `json:"seq"`
	Hash  string `json:"hash"`
}

// String writes CHAIN:SEQ:HASH.
func (h Head) String() string { return h.Chain + ":" + strconv.FormatUint(h.Seq, 10) + ":" + h.Hash }

// ParseHead reads what String wrote.
func ParseHead(s string) (Head, error) {
	parts := strings.Split(s, ":")
	if len(parts) == 3 && (parts[0] == Decisions || parts[0] == Acks) && len(parts[2]) == hashLen && lowerHex(parts[2]) {
		if n, err := strconv.ParseUint(parts[1], 10, 64); err == nil && n > 0 {
			return Head{parts[0], n, parts[2]}, nil
		}
	}
	return Head{}, fmt.Errorf("%.100q is not CHAIN:SEQ:HASH as `warder audit head` prints it", s)
}

// Options say what a verification goes by.
type Options struct {
	// Keys are believed and no others; without any, every key that joins is.
	Keys  []ed25519.PublicKey
	Heads []Head // must be in the ledger
	// Problems is how many problems are kept; the others are only counted. At least 1.
	Problems int
}

// Report is what a verification found.
type Report struct {
	Lines    uint64        `json:"lines"`
	Entries  uint64        `json:"entries"` // that count
	Chains   []ChainReport `json:"chains"`  // by name
	Keys     []KeyReport   `json:"keys"`    // by fingerprint
	Pinned   bool          `json:"pinned"`  // only given keys were believed
	Total    uint64        `json:"problems_total"`
	Problems []Problem     `json:"problems"`
	// Unwatched counts decisions whose end was not waited for, because more than 1,048,576 were in force.
	Unwatched uint64 `json:"unwatched,omitempty"`
}

// ChainReport is what was found of one chain.
type ChainReport struct {
	Head
	Entries uint64    `json:"entries"`
	First   time.Time `json:"first,omitzero"` // of the records told of
	Last    time.Time `json:"last,omitzero"`
	// Repeats are entries that stand there more than once, byte for byte; Forks are entries of a writer that did not know the head, whose
	// records the chain tells of, too. Both are harmless.
	Repeats uint64 `json:"repeats"`
	Forks   uint64 `json:"forks"`
	// Unseen counts records of the decisions topic that were compacted away before the ledger read them.
	Unseen uint64 `json:"unseen"`
}

// KeyReport is one signing key.
type KeyReport struct {
	Fingerprint string `json:"fingerprint"`
	Entries     uint64 `json:"entries"`
}

// Verifier verifies a ledger, line by line. Its memory is bounded: 65,536 hashes a chain and the decisions in force. It is not safe for
// concurrent use.
type Verifier struct {
	opts   Options
	report Report
	chains map[string]*checked
	pinned map[string]bool
	keys   map[string]ed25519.PublicKey // of every start
	joined map[string]bool              // keys of starts that count
	signed map[string]uint64            // entries that count, by key
	open   map[string]openDecision      // by entity and action
	newest time.Time
}

// openDecision is a decision in force.
type openDecision struct {
	id      string
	expires time.Time
	seq     uint64
}

// checked is one chain under verification.
type checked struct {
	Chain
	report  ChainReport
	joined  map[string]bool
	source  int64 // offset of the last record told of; -1 before the first
	told    recent
	pending map[string][]fork // by source, "" for starts
	waiting int               // of pending
	newest  time.Time
}

// fork is an entry that does not count, until the chain tells of its record.
type fork struct {
	line, seq uint64
	key       string
}

// NewVerifier returns a verifier of a ledger from its beginning.
func NewVerifier(opts Options) *Verifier {
	v := &Verifier{opts: opts, chains: map[string]*checked{}, pinned: map[string]bool{}, keys: map[string]ed25519.PublicKey{},
		joined: map[string]bool{}, signed: map[string]uint64{}, open: map[string]openDecision{}}
	for _, k := range opts.Keys {
		v.pinned[Fingerprint(k)] = true
		v.keys[Fingerprint(k)] = k
	}
	return v
}

func (v *Verifier) problem(chain string, seq uint64, code Code, format string, args ...any) {
	v.at(v.report.Lines, chain, seq, code, format, args...)
}

func (v *Verifier) at(line uint64, chain string, seq uint64, code Code, format string, args ...any) {
	v.report.Total++
	if len(v.report.Problems) < max(1, v.opts.Problems) {
		v.report.Problems = append(v.report.Problems, Problem{line, chain, seq, code, fmt.Sprintf(format, args...)})
	}
}

// Line takes the next line, without its line feed. It keeps nothing of b.
func (v *Verifier) Line(b []byte) {
	v.report.Lines++
	l, err := Parse(b)
	if err != nil {
		v.problem("", 0, CodeUnreadable, "no entry can be read here: %v", err)
		return
	}
	e := l.Entry
	c := v.chains[e.Chain]
	if c == nil {
		c = &checked{joined: map[string]bool{}, source: -1, pending: map[string][]fork{}}
		v.chains[e.Chain] = c
	}
	seq, _ := c.Head()
	place := c.Take(l)
	if !l.Intact() {
		v.problem(e.Chain, e.Seq, CodeAltered, "the entry was altered: its hash is %s, it states %s", l.sum, l.Hash)
	}
	switch place {
	case Repeat:
		c.report.Repeats++
		return
	case Gap:
		v.problem(e.Chain, e.Seq, CodeMissing, "entries %d to %d are missing before this one", seq+1, e.Seq-1)
	case Broken:
		v.problem(e.Chain, e.Seq, CodeBroken, "the entry does not follow the one before: prev is %s; one of them was exchanged", e.Prev)
	case Astray:
		v.problem(e.Chain, e.Seq, CodeMisplaced, "the entry was inserted or moved: the chain is at %d and nothing known comes before it", seq)
	}
	v.signature(c, l, place.Counts())
	switch {
	case place == Fork:
		v.fork(c, e)
	case place.Counts():
		v.count(c, l)
	}
}

// signature checks who signed.
func (v *Verifier) signature(c *checked, l *Line, counts bool) {
	e := l.Entry
	if e.Kind == Start {
		if key, err := e.publicKey(); err != nil {
			v.problem(e.Chain, e.Seq, CodeKey, "the start of a key is not valid: %v", err)
		} else if v.keys[e.Key] == nil && len(v.keys) < maxOpen {
			v.keys[e.Key] = key
		}
		c.joined[e.Key] = c.joined[e.Key] || counts
	}
	switch key := v.keys[e.Key]; {
	case len(v.pinned) > 0 && !v.pinned[e.Key]:
		v.problem(e.Chain, e.Seq, CodeKey, "signed by the key %.40q, which is not among the public keys given", e.Key)
	case key == nil, counts && !c.joined[e.Key]:
		v.problem(e.Chain, e.Seq, CodeKey, "signed by the key %.40q, which has not joined the chain", e.Key)
	case l.Intact() && !l.Signed(key):
		v.problem(e.Chain, e.Seq, CodeSignature, "the signature is not the one of the key %s", e.Key)
	}
}

// fork keeps an entry that does not count until it is known whether the chain tells the same.
func (v *Verifier) fork(c *checked, e *Entry) {
	f, source := fork{line: v.report.Lines, seq: e.Seq, key: e.Key}, e.Source.id()
	switch {
	case source != "" && c.told.set[source]:
		c.report.Forks++
	case c.waiting < remembered:
		c.pending[source] = append(c.pending[source], f)
		c.waiting++
	default:
		v.misplaced(e.Chain, f)
	}
}

func (v *Verifier) misplaced(chain string, f fork) {
	v.at(f.line, chain, f.seq, CodeMisplaced, "the entry was inserted or moved: the chain goes on without it, and does not tell of its record")
}

// count takes an entry that is part of the chain.
func (v *Verifier) count(c *checked, l *Line) {
	e := l.Entry
	c.report.Entries++
	v.report.Entries++
	v.signed[e.Key]++
	if e.Seq == 1 && e.Kind != Start {
		v.problem(e.Chain, e.Seq, CodeBroken, "the first entry is a %q, not the start of a key", e.Kind)
	}
	switch e.Kind {
	case Start:
		v.joined[e.Key] = true
	case Reset:
		c.source = -1
	}
	v.head(e.Chain, e.Seq, l)
	if e.Source != nil {
		v.source(c, e)
	}
	v.conduct(e)
}

// head compares with what was noted.
func (v *Verifier) head(chain string, seq uint64, l *Line) {
	for _, h := range v.opts.Heads {
		if h.Chain == chain && h.Seq == seq && h.Hash != l.sum {
			v.problem(chain, seq, CodeHead, "the entry is not the one that was noted: its hash is %s, noted was %s", l.sum, h.Hash)
		}
	}
}

// source checks what the entry says of its record.
func (v *Verifier) source(c *checked, e *Entry) {
	at := e.Source.Offset
	if at <= c.source {
		v.problem(e.Chain, e.Seq, CodeSource, "tells of record %d of %s after record %d", at, e.Source.Topic, c.source)
	} else if e.Chain == Decisions {
		c.report.Unseen += uint64(at - c.source - 1)
	}
	c.source = at
	id := e.Source.id()
	c.told.add(id, true)
	if n := len(c.pending[id]); n > 0 {
		c.report.Forks += uint64(n)
		c.waiting -= n
		delete(c.pending, id)
	}
	if c.report.First.IsZero() {
		c.report.First = e.Time
	}
	if e.Time.Before(c.newest.Add(-maxBackwards)) {
		v.problem(e.Chain, e.Seq, CodeClock, "time goes back: %s after %s", e.Time.Format(time.RFC3339), c.newest.Format(time.RFC3339))
	}
	if e.Time.After(c.newest) {
		c.newest = e.Time
	}
	c.report.Last = e.Time
	if e.Time.After(v.newest) {
		v.newest = e.Time
	}
}

// id identifies the record.
func (s *Source) id() string {
	if s == nil {
		return ""
	}
	return strconv.FormatInt(s.Offset, 10) + ":" + s.SHA256
}

// Finish ends the verification and returns its report.
func (v *Verifier) Finish() Report {
	for _, h := range v.opts.Heads {
		var seq uint64
		if c := v.chains[h.Chain]; c != nil {
			seq, _ = c.Head()
		}
		if seq < h.Seq {
			v.at(0, h.Chain, seq, CodeTruncated, "the ledger ends at %d, entry %d was noted: its end was cut off", seq, h.Seq)
		}
	}
	for _, name := range sortedKeys(v.chains) {
		c := v.chains[name]
		v.unresolved(name, c)
		c.report.Chain = name
		c.report.Seq, c.report.Hash = c.Head()
		v.report.Chains = append(v.report.Chains, c.report)
	}
	v.unended()
	v.report.Pinned = len(v.pinned) > 0
	for _, k := range sortedKeys(v.signed) {
		v.report.Keys = append(v.report.Keys, KeyReport{k, v.signed[k]})
	}
	return v.report
}

// unresolved judges the entries that still do not count at the end. The start of a key that joined after all is harmless.
func (v *Verifier) unresolved(chain string, c *checked) {
	for _, source := range sortedKeys(c.pending) {
		for _, f := range c.pending[source] {
			if source == "" && (v.joined[f.key] || v.pinned[f.key]) {
				c.report.Forks++
				continue
			}
			v.misplaced(chain, f)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
