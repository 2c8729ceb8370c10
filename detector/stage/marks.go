package stage

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// marks recognises repeats: each source numbers its records upwards within a partition, so what is not above the highest
// number seen was there before. A source is a tap (its number is the event's) or, for matches, a partition of the events topic
// (its number is the offset, and within one event the rule's id).
type marks struct {
	bySource map[uint64]mark
	max      int
	evicted  uint64
}

type mark struct {
	high  uint64
	rule  string // of the last match of that number
	heard int64  // the offset of the source's last record: the source silent longest gives way to a new one
}

func newMarks(limit int) *marks { return &marks{bySource: map[uint64]mark{}, max: limit} }

// repeat tells whether the record was seen before, and remembers it.
func (m *marks) repeat(source, number uint64, rule string, offset int64) bool {
	old, known := m.bySource[source]
	if known && (number < old.high || number == old.high && rule <= old.rule) {
		old.heard = offset
		m.bySource[source] = old
		return true
	}
	if !known && len(m.bySource) >= m.max {
		m.evict()
	}
	m.bySource[source] = mark{high: number, rule: rule, heard: offset}
	return false
}

func (m *marks) evict() {
	var victim uint64
	var oldest mark
	first := true
	for k, v := range m.bySource {
		if first || v.heard < oldest.heard || v.heard == oldest.heard && k < victim {
			victim, oldest, first = k, v, false
		}
	}
	delete(m.bySource, victim)
	m.evicted++
}

// append writes the marks, in the order of their sources.
func (m *marks) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(m.bySource)))
	for _, k := range slices.Sorted(maps.Keys(m.bySource)) {
		v := m.bySource[k]
		b = binary.BigEndian.AppendUint64(b, k)
		b = binary.AppendUvarint(b, v.high)
		b = binary.AppendVarint(b, v.heard)
		b = binary.AppendUvarint(b, uint64(len(v.rule)))
		b = append(b, v.rule...)
	}
	return b
}

var errMarks = errors.New("marks are damaged")

// restore reads what append wrote and returns the rest of b.
func (m *marks) restore(b []byte) ([]byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)) {
		return nil, errMarks
	}
	b = b[size:]
	for range n {
		if len(b) < 8 {
			return nil, errMarks
		}
		k := binary.BigEndian.Uint64(b)
		b = b[8:]
		var v mark
		if v.high, size = binary.Uvarint(b); size <= 0 {
			return nil, errMarks
		}
		b = b[size:]
		if v.heard, size = binary.Varint(b); size <= 0 {
			return nil, errMarks
		}
		b = b[size:]
		l, size := binary.Uvarint(b)
		if size <= 0 || l > uint64(len(b)-size) {
			return nil, errMarks
		}
		v.rule = string(b[size : size+int(l)])
		b = b[size+int(l):]
		m.bySource[k] = v
	}
	return b, nil
}
