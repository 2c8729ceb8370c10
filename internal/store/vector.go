package store

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// lowText is a LowCardinality(String) column's type.
const lowText = "LowCardinality(String)"

// vector is one column of a block in ClickHouse's Native format, revision 0, while it is put together: what clickhouse-go makes of values too,
// without a box around each. Its buffers are used again after reset.
type vector struct {
	data    []byte // values of fixed size, strings, or offsets of lists and maps
	keys    []byte // the dictionary of a LowCardinality column
	index   []uint32
	numbers map[string]uint32 // of the dictionary's keys; 0 is ""
	last    string
	lastN   uint32
	values  []byte // of maps
	total   uint64 // elements of lists or maps so far
}

func (v *vector) reset() {
	v.data, v.keys, v.index, v.values, v.total = v.data[:0], append(v.keys[:0], 0), v.index[:0], v.values[:0], 0
	v.last, v.lastN = "", 0
	clear(v.numbers)
}

func (v *vector) flag(b bool) {
	n := byte(0)
	if b {
		n = 1
	}
	v.data = append(v.data, n)
}

func (v *vector) u16(n uint16) { v.data = binary.LittleEndian.AppendUint16(v.data, n) }
func (v *vector) u32(n uint32) { v.data = binary.LittleEndian.AppendUint32(v.data, n) }
func (v *vector) u64(n uint64) { v.data = binary.LittleEndian.AppendUint64(v.data, n) }

// nanos adds a DateTime64(9).
func (v *vector) nanos(t time.Time) { v.u64(uint64(storedTime(t).UnixNano())) }

func (v *vector) addr(a netip.Addr) {
	b := storedAddr(a).As16()
	v.data = append(v.data, b[:]...)
}

// uuid adds an UUID: its halves as numbers.
func (v *vector) uuid(u [16]byte) {
	v.u64(binary.BigEndian.Uint64(u[:8]))
	v.u64(binary.BigEndian.Uint64(u[8:]))
}

func (v *vector) text(s string) { v.data = appendText(v.data, s) }

// low adds a value, or an element of a list or a key of a map, that is kept in the dictionary.
func (v *vector) low(s string) {
	if s != v.last {
		n, ok := v.numbers[s]
		if !ok && s != "" {
			if v.numbers == nil {
				v.numbers = make(map[string]uint32)
			}
			n = uint32(len(v.numbers)) + 1
			v.numbers[s] = n
			v.keys = appendText(v.keys, s)
		}
		v.last, v.lastN = s, n
	}
	v.index = append(v.index, v.lastN)
}

func (v *vector) lows(list []string) {
	for _, s := range list {
		v.low(s)
	}
	v.total += uint64(len(list))
	v.u64(v.total)
}

func (v *vector) pairs(m map[string]string) {
	for k, s := range m {
		v.low(k)
		v.values = appendText(v.values, s)
	}
	v.total += uint64(len(m))
	v.u64(v.total)
}

// appendTo writes the column: its name and type, and what its values need around them.
func (v *vector) appendTo(dst []byte, name, typ string) []byte {
	dst = appendText(appendText(dst, name), typ)
	switch typ {
	case lowText:
		return v.appendDictionary(binary.LittleEndian.AppendUint64(dst, 1))
	case "Array(" + lowText + ")", "Map(" + lowText + ", String)":
		dst = binary.LittleEndian.AppendUint64(dst, 1)
		return append(v.appendDictionary(append(dst, v.data...)), v.values...)
	}
	return append(dst, v.data...)
}

// What stands before a dictionary (SerializationLowCardinality.cpp): it has keys of its own, and replaces the one before.
const ownDictionary = 1<<9 | 1<<10

// appendDictionary writes the keys and each value's number among them, in the least width.
func (v *vector) appendDictionary(dst []byte) []byte {
	if len(v.index) == 0 {
		return dst
	}
	le, keys := binary.LittleEndian, uint64(len(v.numbers))+1
	width := uint64(0)
	switch {
	case keys > 1<<16:
		width = 2
	case keys > 1<<8:
		width = 1
	}
	dst = le.AppendUint64(le.AppendUint64(dst, ownDictionary|width), keys)
	dst = le.AppendUint64(append(dst, v.keys...), uint64(len(v.index)))
	for _, n := range v.index {
		switch width {
		case 0:
			dst = append(dst, byte(n))
		case 1:
			dst = le.AppendUint16(dst, uint16(n))
		default:
			dst = le.AppendUint32(dst, n)
		}
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// size is about how many bytes appendTo adds.
func (v *vector) size() int { return 128 + len(v.data) + len(v.keys) + 4*len(v.index) + len(v.values) }
