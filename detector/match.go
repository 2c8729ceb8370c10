package detector

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// MatchVersion is the schema version of a MatchRecord's encoding.
const MatchVersion = 1

// MaxMatch is the largest encoded MatchRecord, in bytes.
const MaxMatch = 32 << 10

// MatchRecord is a match on its way to the shard that owns its group, on the topic warder.matches. It carries no more of the
// event than a window and an alert need; texts that are only told apart are hashed already.
type MatchRecord struct {
	Rule        string
	RuleVersion string
	Group       []string // values of the rule's group_by, in its order
	Args        []Arg    // one per aggregate of the rule, in order
	Event       event.ID
	Time        time.Time
	Dropped     uint64 // event.Event.Dropped
	Sample      *alert.Sample
	// Partition and Offset are where the event stands in the events topic. The matches of one partition keep their order, so
	// (Offset, Rule) ascends apart from repeats.
	Partition int
	Offset    int64
	// Value is what an alert of first_seen or rare shows; Peers are the values of rare's peers, by which its state is kept.
	Value   string
	Peers   []string
	ByPeers bool // its state is
	// Clock: this is no match. It says that the tap of Event has come to Time in Partition, one of Sources partitions of the
	// events topic. Every partition of the matches topic is told, so that what is due there becomes so.
	Clock   bool
	Sources int
}

func newRecord(r *rules.Rule, group []string, args []Arg, o *Origin) *MatchRecord {
	m := &MatchRecord{Rule: r.ID, RuleVersion: r.Version, Group: slices.Clone(group), Args: slices.Clone(args),
		Event: o.ID, Time: o.Time, Dropped: o.Dropped}
	for i := range m.Args {
		m.Args[i].Text = bounded(m.Args[i].Text, maxTopText)
	}
	if o.Sample != nil {
		m.Sample = o.Sample()
	}
	return m
}

// Key is the record's key on the bus: a hash of rule and group, so that a group's matches share a partition; for rare, of the
// rule and the peers.
func (m *MatchRecord) Key() []byte {
	b := binary.AppendUvarint(nil, uint64(len(m.Rule)))
	b = append(b, m.Rule...)
	by := m.Group
	if m.ByPeers {
		by = m.Peers
	}
	for _, v := range by {
		b = binary.AppendUvarint(b, uint64(len(v)))
		b = append(b, v...)
	}
	h := sha256.Sum256(b)
	return h[:16]
}

// Field numbers of the encoding, in Protocol Buffers' wire format. They are never used twice.
const (
	mVersion protowire.Number = iota + 1
	mRule
	mRuleVersion
	mGroup
	mArg // 1 or 0 for In, then Bits, eight bytes big-endian, then Text
	mEvent
	mTime
	mDropped
	mPartition
	mOffset
	mHasSample
	mSampleCode
	mMethod
	mHost
	mPath
	mQuery
	mUserAgent
	mAddress
	mPrincipal
)

// Fields of the rule forms.
const (
	mValue protowire.Number = iota + 40
	mPeer
	mByPeers
	mClock
	mSources
)

// Append appends the record's encoding to b. It is deterministic.
func (m *MatchRecord) Append(b []byte) []byte {
	num := func(n protowire.Number, v uint64) {
		if v != 0 {
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
		}
	}
	raw := func(n protowire.Number, v []byte) {
		b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
	}
	num(mVersion, MatchVersion)
	raw(mRule, []byte(m.Rule))
	raw(mRuleVersion, []byte(m.RuleVersion))
	for _, g := range m.Group {
		raw(mGroup, []byte(g))
	}
	for _, a := range m.Args {
		var v [9]byte
		if a.In {
			v[0] = 1
		}
		binary.BigEndian.PutUint64(v[1:], a.Bits)
		raw(mArg, append(v[:], a.Text...))
	}
	raw(mEvent, m.Event[:])
	if usable(m.Time) {
		num(mTime, uint64(m.Time.UnixNano()))
	}
	num(mDropped, m.Dropped)
	num(mPartition, uint64(m.Partition))
	num(mOffset, uint64(m.Offset))
	if m.Value != "" {
		raw(mValue, []byte(m.Value))
	}
	for _, v := range m.Peers {
		raw(mPeer, []byte(v))
	}
	num(mByPeers, bit(m.ByPeers))
	num(mClock, bit(m.Clock))
	num(mSources, uint64(m.Sources))
	if m.Sample != nil {
		num(mHasSample, 1)
		num(mSampleCode, uint64(m.Sample.Code))
		for n := mMethod; n <= mPrincipal; n++ {
			if s := *sampleText(m.Sample, n); s != "" {
				raw(n, []byte(s))
			}
		}
	}
	return b
}

func bit(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}

func sampleText(s *alert.Sample, n protowire.Number) *string {
	switch n {
	case mMethod:
		return &s.Method
	case mHost:
		return &s.Host
	case mPath:
		return &s.Path
	case mQuery:
		return &s.Query
	case mUserAgent:
		return &s.UserAgent
	case mAddress:
		return &s.Address
	case mPrincipal:
		return &s.Principal
	}
	return nil
}

// DecodeMatch reads what Append wrote. The record shares no memory with b. Unknown fields are skipped.
func DecodeMatch(b []byte) (*MatchRecord, error) {
	if len(b) > MaxMatch {
		return nil, fmt.Errorf("decode match: %d bytes, limit is %d", len(b), MaxMatch)
	}
	m, version, sample := new(MatchRecord), uint64(0), new(alert.Sample)
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return nil, fmt.Errorf("decode match: %w", protowire.ParseError(size))
		}
		b = b[size:]
		switch typ {
		case protowire.VarintType:
			v, size := protowire.ConsumeVarint(b)
			if size < 0 {
				return nil, fmt.Errorf("decode match: field %d: %w", n, protowire.ParseError(size))
			}
			b = b[size:]
			if n == mVersion {
				version = v
			}
			m.setNumber(n, v, sample)
		case protowire.BytesType:
			v, size := protowire.ConsumeBytes(b)
			if size < 0 {
				return nil, fmt.Errorf("decode match: field %d: %w", n, protowire.ParseError(size))
			}
			b = b[size:]
			if err := m.setBytes(n, v, sample); err != nil {
				return nil, fmt.Errorf("decode match: field %d: %w", n, err)
			}
		default:
			if size = protowire.ConsumeFieldValue(n, typ, b); size < 0 {
				return nil, fmt.Errorf("decode match: field %d: %w", n, protowire.ParseError(size))
			}
			b = b[size:]
		}
	}
	if version != MatchVersion {
		return nil, fmt.Errorf("decode match: schema version %d, this program reads %d", version, MatchVersion)
	}
	if (m.Rule == "") != m.Clock || m.Event.IsZero() || m.Partition < 0 || m.Offset < 0 {
		return nil, errors.New("decode match: rule, event id or offset is missing or wrong")
	}
	if m.Sample != nil {
		m.Sample.Event = m.Event.String()
	}
	return m, nil
}

func (m *MatchRecord) setNumber(n protowire.Number, v uint64, sample *alert.Sample) {
	switch n {
	case mTime:
		m.Time = time.Unix(0, int64(v)).UTC()
	case mDropped:
		m.Dropped = v
	case mPartition:
		m.Partition = int(int32(v))
	case mOffset:
		m.Offset = int64(v)
	case mHasSample:
		m.Sample = sample
	case mSampleCode:
		sample.Code = int(int32(v))
	case mByPeers:
		m.ByPeers = v == 1
	case mClock:
		m.Clock = v == 1
	case mSources:
		m.Sources = int(min(v, maxSources+1))
	}
}

func (m *MatchRecord) setBytes(n protowire.Number, v []byte, sample *alert.Sample) error {
	if s := sampleText(sample, n); s != nil {
		*s = cut(string(v), maxSampleText)
		return nil
	}
	switch n {
	case mRule:
		m.Rule = string(v)
	case mRuleVersion:
		m.RuleVersion = string(v)
	case mGroup:
		if len(m.Group) == rules.MaxGroupBy || len(v) > maxGroupValue {
			return errors.New("group is too large")
		}
		m.Group = append(m.Group, string(v))
	case mArg:
		if len(v) < 9 || len(v) > 9+maxTopText || len(m.Args) == rules.MaxAggregates+rules.MaxFormArgs+rules.MaxSeen {
			return errors.New("argument is malformed or one too many")
		}
		m.Args = append(m.Args, Arg{In: v[0] == 1, Bits: binary.BigEndian.Uint64(v[1:]), Text: string(v[9:])})
	case mValue:
		m.Value = cut(string(v), maxSampleName)
	case mPeer:
		if len(m.Peers) == rules.MaxGroupBy || len(v) > maxGroupValue {
			return errors.New("peers are too large")
		}
		m.Peers = append(m.Peers, string(v))
	case mEvent:
		if len(v) != len(m.Event) {
			return fmt.Errorf("event id has %d bytes", len(v))
		}
		copy(m.Event[:], v)
	}
	return nil
}
