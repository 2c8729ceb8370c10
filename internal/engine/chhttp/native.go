package chhttp

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// revisionCustomSerialization is the client revision from which a byte before each column's data tells whether a custom
// serialisation follows (DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION in ClickHouse).
const revisionCustomSerialization = 54454

// blockInfo is a BlockInfo as ClickHouse writes it before each block for clients of any revision above 0: field 1, no
// overflow; field 2, bucket -1; end.
func blockInfo() []byte { return []byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0} }

// addRevision turns Native blocks of protocol revision 0, the only one that the embedded engine writes, into the form that a
// client of the given revision reads, appending it to dst. src holds whole blocks. To find where columns begin, their data
// is walked by type.
func addRevision(dst, src []byte, revision int) ([]byte, error) {
	w := walker{b: src}
	for w.pos < len(src) {
		begin := w.pos
		columns, err := w.count()
		if err != nil {
			return nil, err
		}
		rows, err := w.count()
		if err != nil {
			return nil, err
		}
		dst = append(append(dst, blockInfo()...), src[begin:w.pos]...)
		for range columns {
			if dst, err = w.column(dst, rows, revision); err != nil {
				return nil, err
			}
		}
	}
	return dst, nil
}

// walker steps through Native data. Every count is checked against what is there before it is used.
type walker struct {
	b   []byte
	pos int
}

// column copies one column to dst, with what the revision wants in between.
func (w *walker) column(dst []byte, rows, revision int) ([]byte, error) {
	begin := w.pos
	if _, err := w.text(); err != nil { // the column's name
		return nil, err
	}
	text, err := w.text()
	if err != nil {
		return nil, err
	}
	dst = append(dst, w.b[begin:w.pos]...)
	if revision >= revisionCustomSerialization {
		dst = append(dst, 0)
	}
	t, err := parseType(text)
	if err != nil {
		return nil, err
	}
	begin = w.pos
	if rows > 0 {
		if err = w.prefix(t); err == nil {
			err = w.values(t, rows)
		}
		if err != nil {
			return nil, fmt.Errorf("column of type %.60s: %w", text, err)
		}
	}
	return append(dst, w.b[begin:w.pos]...), nil
}

// skip passes over n values of size bytes.
func (w *walker) skip(n, size int) error {
	if n < 0 || size < 0 || size > 0 && n > (len(w.b)-w.pos)/size {
		return io.ErrUnexpectedEOF
	}
	w.pos += n * size
	return nil
}

// count reads a varint that counts something.
func (w *walker) count() (int, error) {
	v, n := binary.Uvarint(w.b[w.pos:])
	if n <= 0 || v > math.MaxInt64 {
		return 0, io.ErrUnexpectedEOF
	}
	w.pos += n
	return int(v), nil
}

func (w *walker) text() (string, error) {
	n, err := w.count()
	if err != nil {
		return "", err
	}
	begin := w.pos
	if err = w.skip(n, 1); err != nil {
		return "", err
	}
	return string(w.b[begin:w.pos]), nil
}

// number reads eight bytes that count something.
func (w *walker) number() (int, error) {
	begin := w.pos
	if err := w.skip(1, 8); err != nil {
		return 0, err
	}
	v := binary.LittleEndian.Uint64(w.b[begin:])
	if v > math.MaxInt64 {
		return 0, io.ErrUnexpectedEOF
	}
	return int(v), nil
}

// prefix passes over what comes once before a column's values: a version for each dictionary and JSON within the type.
func (w *walker) prefix(t nativeType) error {
	if t.name == "LowCardinality" || t.name == "JSON" {
		return w.skip(1, 8)
	}
	for _, a := range t.args {
		if err := w.prefix(a); err != nil {
			return err
		}
	}
	return nil
}

// values passes over the values of rows rows.
func (w *walker) values(t nativeType, rows int) error {
	if t.size > 0 {
		return w.skip(rows, t.size)
	}
	switch t.name {
	case "String", "JSON":
		return w.strings(rows)
	case "Nullable":
		if err := w.skip(rows, 1); err != nil {
			return err
		}
	case "Array", "Map":
		n, err := w.lastOffset(rows)
		if err != nil {
			return err
		}
		rows = n
	case "LowCardinality":
		return w.dictionary(t.args[0], rows)
	}
	for _, a := range t.args {
		if err := w.values(a, rows); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) strings(rows int) error {
	for range rows {
		n, err := w.count()
		if err != nil {
			return err
		}
		if err = w.skip(n, 1); err != nil {
			return err
		}
	}
	return nil
}

// lastOffset passes over the offsets of arrays and returns the last: how many elements follow.
func (w *walker) lastOffset(rows int) (int, error) {
	if rows == 0 {
		return 0, nil
	}
	if err := w.skip(rows-1, 8); err != nil {
		return 0, err
	}
	return w.number()
}

// dictionary passes over a LowCardinality column: flags with the width of the indexes, the distinct values, the indexes.
func (w *walker) dictionary(inner nativeType, rows int) error {
	if rows == 0 {
		return nil
	}
	flags := w.pos
	if err := w.skip(1, 8); err != nil {
		return err
	}
	width := w.b[flags] // 0 to 3: 1, 2, 4 or 8 bytes
	if width > 3 {
		return fmt.Errorf("dictionary with unknown index width %d", width)
	}
	keys, err := w.number()
	if err != nil {
		return err
	}
	if inner.name == "Nullable" {
		inner = inner.args[0] // the dictionary's first value stands for NULL
	}
	if err = w.values(inner, keys); err != nil {
		return err
	}
	n, err := w.number()
	if err != nil {
		return err
	}
	return w.skip(n, 1<<width)
}
