// Package geotest writes small MaxMind databases for tests, so that no database needs to be in the repository. The format is that of
// https://maxmind.github.io/MaxMind-DB/ (version 2.0), with records of 32 bits.
package geotest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

// Map is a record or a part of one: string, bool, uint32, []any and Map are written.
type Map = map[string]any

// City returns a record of a City or Country database.
func City(country, continent, city string) Map {
	return Map{"country": Map{"iso_code": country}, "continent": Map{"code": continent}, "city": Map{"names": Map{"en": city}}}
}

// ASN returns a record of an ASN database.
func ASN(number uint32, org string) Map {
	return Map{"autonomous_system_number": number, "autonomous_system_organization": org}
}

// Write writes a database of the networks to path, as a whole: to another file that is then renamed.
func Write(t testing.TB, path string, networks map[string]Map) {
	t.Helper()
	b, err := Encode(networks)
	if err == nil {
		err = os.WriteFile(path+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Encode returns a database. A network may lie within another.
func Encode(networks map[string]Map) ([]byte, error) {
	prefixes := make([]netip.Prefix, 0, len(networks))
	records := make(map[netip.Prefix]Map, len(networks))
	for s, r := range networks {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, err
		}
		if p != p.Masked() || p.Bits() == 0 {
			return nil, fmt.Errorf("%s is not a network", s)
		}
		prefixes = append(prefixes, p)
		records[p] = r
	}
	// Wider networks first, so that what lies within them takes their place.
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		if a.Bits() != b.Bits() {
			return a.Bits() - b.Bits()
		}
		return a.Addr().Compare(b.Addr())
	})
	w := &writer{nodes: make([]node, 1)}
	written := map[string]int{} // encoded records: equal ones are written once
	for _, p := range prefixes {
		r := &writer{}
		r.value(records[p])
		at, ok := written[string(r.data)]
		if !ok {
			at = len(w.data)
			written[string(r.data)] = at
			w.data = append(w.data, r.data...)
		}
		w.insert(p, at)
	}
	return w.finish(), nil
}

// node has, for each bit, nothing, another node or a record.
type node [2]struct {
	node   int // 0 is none: nothing points to the root
	record int // offset in data plus 1
}

type writer struct {
	nodes []node
	data  []byte
}

func (w *writer) insert(p netip.Prefix, record int) {
	a, bits := p.Addr(), p.Bits()
	b := a.As16()
	if a.Is4() { // IPv4 lies below ::/96
		v4 := a.As4()
		b = [16]byte{}
		copy(b[12:], v4[:])
		bits += 96
	}
	at := 0
	for i := range bits {
		bit := b[i/8] >> (7 - i%8) & 1
		edge := &w.nodes[at][bit]
		if i == bits-1 {
			edge.record = record + 1
			return
		}
		if edge.node == 0 {
			edge.node = len(w.nodes)
			below := node{}
			below[0].record, below[1].record = edge.record, edge.record
			edge.record = 0
			w.nodes = append(w.nodes, below)
			edge = &w.nodes[at][bit] // append may have moved it
		}
		at = edge.node
	}
}

func (w *writer) finish() []byte {
	out := make([]byte, 0, 8*len(w.nodes)+16+len(w.data)+256)
	for _, n := range w.nodes {
		for _, edge := range n {
			v := len(w.nodes) // nothing
			switch {
			case edge.node > 0:
				v = edge.node
			case edge.record > 0:
				v = len(w.nodes) + 16 + edge.record - 1
			}
			out = binary.BigEndian.AppendUint32(out, uint32(v))
		}
	}
	out = append(out, make([]byte, 16)...)
	out = append(out, w.data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	meta := &writer{}
	meta.value(Map{"binary_format_major_version": uint32(2), "binary_format_minor_version": uint32(0),
		"build_epoch": uint32(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix()), "database_type": "Warder-Test",
		"description": Map{"en": "Test"}, "ip_version": uint32(6), "languages": []any{"en"}, "node_count": uint32(len(w.nodes)),
		"record_size": uint32(32)})
	return append(out, meta.data...)
}

// control writes a value's type and size.
func (w *writer) control(kind, size int) {
	first := kind << 5
	if kind > 7 {
		first = 0
	}
	var more []byte
	switch {
	case size < 29:
		first |= size
	case size < 29+256:
		first, more = first|29, []byte{byte(size - 29)}
	default:
		first, more = first|30, []byte{byte((size - 285) >> 8), byte(size - 285)}
	}
	w.data = append(w.data, byte(first))
	if kind > 7 {
		w.data = append(w.data, byte(kind-7))
	}
	w.data = append(w.data, more...)
}

func (w *writer) value(v any) {
	switch v := v.(type) {
	case string:
		w.control(2, len(v))
		w.data = append(w.data, v...)
	case uint32:
		b := binary.BigEndian.AppendUint32(nil, v)
		for len(b) > 0 && b[0] == 0 {
			b = b[1:]
		}
		w.control(6, len(b))
		w.data = append(w.data, b...)
	case bool:
		size := 0
		if v {
			size = 1
		}
		w.control(14, size)
	case []any:
		w.control(11, len(v))
		for _, x := range v {
			w.value(x)
		}
	case Map:
		w.control(7, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			w.value(k)
			w.value(v[k])
		}
	default:
		panic(fmt.Sprintf("geotest: a record cannot have a %T", v))
	}
}
