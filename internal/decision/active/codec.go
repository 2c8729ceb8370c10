package active

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/warder/warder/internal/decision"
)

var errCut = errors.New("a decision is cut off or has impossible values")

// appendDecision appends the decision's form in the snapshot: its fields in a fixed order, numbers as varints, texts with their length,
// times as seconds since 1970 and nanoseconds. A test fails when a field is forgotten.
func appendDecision(b []byte, d *decision.Decision) []byte {
	b = binary.AppendVarint(b, int64(d.Version))
	b = appendText(b, d.ID, string(d.Action), string(d.Scope), d.Value)
	b = binary.AppendUvarint(b, uint64(len(d.And)))
	for _, t := range d.And {
		b = appendText(b, string(t.Scope), t.Value)
	}
	b = appendRate(b, d.Rate)
	b = binary.AppendVarint(b, int64(d.Status))
	b = appendText(b, string(d.Mode), string(d.Wanted), string(d.State), d.Creator, d.Approver)
	r := &d.Reason
	b = appendText(b, r.Alert, r.Rule, r.RuleVersion, r.Title, r.Event)
	b = appendTimes(b, r.EventTime, d.Created, d.Expires)
	b = appendText(b, d.Guardrail, d.Note)
	b = binary.AppendVarint(b, int64(d.Offence))
	return binary.BigEndian.AppendUint64(b, math.Float64bits(d.Share))
}

func appendText(b []byte, texts ...string) []byte {
	for _, s := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

func appendTimes(b []byte, times ...time.Time) []byte {
	for _, t := range times {
		b = binary.AppendVarint(b, t.Unix())
		b = binary.AppendUvarint(b, uint64(t.Nanosecond()))
	}
	return b
}

func appendRate(b []byte, r *decision.Rate) []byte {
	if r == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = binary.AppendVarint(b, int64(r.Requests))
	b = binary.AppendVarint(b, int64(r.Per))
	return binary.AppendVarint(b, int64(r.Burst))
}

// decode reads what appendDecision wrote. It does not validate. The decision's texts are parts of one string, for the fewest allocations.
func decode(record string) (*decision.Decision, error) {
	c := &cursor{rest: record}
	d := &decision.Decision{
		Version: c.number(), ID: c.text(), Action: decision.Action(c.text()), Scope: decision.Scope(c.text()), Value: c.text(),
		And: c.terms(), Rate: c.rate(), Status: c.number(),
		Mode: decision.Mode(c.text()), Wanted: decision.Mode(c.text()), State: decision.State(c.text()), Creator: c.text(), Approver: c.text(),
		Reason: decision.Reason{
			Alert: c.text(), Rule: c.text(), RuleVersion: c.text(), Title: c.text(), Event: c.text(), EventTime: c.time(),
		},
		Created: c.time(), Expires: c.time(), Guardrail: c.text(), Note: c.text(), Offence: c.number(), Share: c.share(),
	}
	if c.failed || c.rest != "" || d.Version != decision.Version {
		return nil, errCut
	}
	return d, nil
}

// cursor reads a record from its front. After a failure it returns zeros.
type cursor struct {
	rest   string
	failed bool
}

func (c *cursor) fail() {
	c.failed, c.rest = true, ""
}

func (c *cursor) uvarint() (n uint64) {
	for i := 0; i < len(c.rest) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(c.rest[i]&0x7f) << (7 * i)
		if c.rest[i] < 0x80 {
			c.rest = c.rest[i+1:]
			return n
		}
	}
	c.fail()
	return 0
}

func (c *cursor) varint() int64 {
	n := c.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (c *cursor) number() int { return int(c.varint()) }

func (c *cursor) take(n uint64) string {
	if n > uint64(len(c.rest)) {
		c.fail()
		return ""
	}
	s := c.rest[:n]
	c.rest = c.rest[n:]
	return s
}

func (c *cursor) text() string { return c.take(c.uvarint()) }

func (c *cursor) terms() []decision.Term {
	n := c.uvarint()
	if n > decision.MaxTerms {
		c.fail()
	}
	if c.failed || n == 0 {
		return nil
	}
	out := make([]decision.Term, n)
	for i := range out {
		out[i] = decision.Term{Scope: decision.Scope(c.text()), Value: c.text()}
	}
	return out
}

func (c *cursor) rate() *decision.Rate {
	if c.uvarint() == 0 {
		return nil
	}
	return &decision.Rate{Requests: c.number(), Per: time.Duration(c.varint()), Burst: c.number()}
}

func (c *cursor) time() time.Time {
	sec, nano := c.varint(), c.uvarint()
	if nano >= uint64(time.Second) {
		c.fail()
		return time.Time{}
	}
	return time.Unix(sec, int64(nano)).UTC()
}

func (c *cursor) share() float64 {
	s := c.take(8)
	if len(s) < 8 {
		return 0
	}
	return math.Float64frombits(binary.BigEndian.Uint64([]byte(s)))
}
