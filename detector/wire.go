package detector

import (
	"encoding/binary"
	"errors"
)

// errSnapshot says that a snapshot is not what Snapshot wrote. Restore wraps it.
var errSnapshot = errors.New("snapshot is damaged")

// encoder writes the parts of a snapshot.
type encoder struct{ b []byte }

func (w *encoder) uint(v uint64)  { w.b = binary.AppendUvarint(w.b, v) }
func (w *encoder) int(v int64)    { w.b = binary.AppendVarint(w.b, v) }
func (w *encoder) fixed(v uint64) { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *encoder) text(s string)  { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *encoder) bytes(s []byte) { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *encoder) flag(on bool) {
	if on {
		w.uint(1)
	} else {
		w.uint(0)
	}
}
func (w *encoder) words(s []uint64) {
	for _, v := range s {
		w.fixed(v)
	}
}

// decoder reads them. The first fault sticks; every read after it returns zeros.
type decoder struct {
	b   []byte
	err error
}

func (r *decoder) fail() {
	if r.err == nil {
		r.err = errSnapshot
	}
	r.b = nil
}

func (r *decoder) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *decoder) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *decoder) fixed() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// count reads a number of things that take at least size bytes each, so that it cannot ask for more memory than there is input.
func (r *decoder) count(size int) int {
	v := r.uint()
	if v > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(v)
}

func (r *decoder) bytes() []byte {
	n := r.count(1)
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *decoder) text() string { return string(r.bytes()) }
