package chhttp

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// block is a Native block of revision 0: two rows of a number, a dictionary and an array.
func block() []byte {
	var b []byte
	text := func(s string) { b = append(append(b, byte(len(s))), s...) }
	number := func(n byte) { b = append(b, n, 0, 0, 0, 0, 0, 0, 0) }
	b = append(b, 3, 2) // columns, rows
	text("n")
	text("UInt16")
	b = append(b, 1, 0, 2, 0)
	text("s")
	text("LowCardinality(String)")
	number(1) // version
	b = append(b, 0, 6, 0, 0, 0, 0, 0, 0)
	number(2) // keys
	text("")
	text("x")
	number(2) // rows
	b = append(b, 0, 1)
	text("a")
	text("Array(Nullable(Int8))")
	number(1)
	number(3)
	b = append(b, 0, 1, 0, 7, 0, 9)
	return b
}

func TestAddRevision(t *testing.T) {
	src := block()
	got, err := addRevision(nil, append(src[:len(src):len(src)], src...), revisionCustomSerialization)
	if err != nil {
		t.Fatal(err)
	}
	// Behind the counts comes the first column; a zero stands between each column's type and its data.
	var one []byte
	one = append(one, blockInfo()...)
	one = append(one, 3, 2)
	rest := src[2:]
	for _, name := range []string{"UInt16", "LowCardinality(String)", "Array(Nullable(Int8))"} {
		i := bytes.Index(rest, []byte(name)) + len(name)
		one = append(append(one, rest[:i]...), 0)
		rest = rest[i:]
	}
	one = append(one, rest...)
	if diff := cmp.Diff(append(one[:len(one):len(one)], one...), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	old, err := addRevision(nil, src, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append(blockInfo(), src...), old); diff != "" {
		t.Errorf("an old client, -want +got:\n%s", diff)
	}
	for n := 1; n < len(src); n++ {
		if _, err := addRevision(nil, src[:n], revisionCustomSerialization); err == nil {
			t.Errorf("no error for the first %d of %d bytes", n, len(src))
		}
	}
}

func TestParseType(t *testing.T) {
	for text, want := range map[string]nativeType{
		"UInt8":                     {name: "UInt8", size: 1},
		"DateTime64(3, 'UTC')":      {name: "DateTime64", size: 8},
		"Enum8('a,(' = 1, 'b' = 2)": {name: "Enum8", size: 1},
		"FixedString(16)":           {name: "FixedString", size: 16},
		"Decimal(18, 4)":            {name: "Decimal", size: 8},
		"IntervalSecond":            {name: "IntervalSecond", size: 8},
		"Map(String, UInt8)":        {name: "Map", args: []nativeType{{name: "String"}, {name: "UInt8", size: 1}}},
		"Tuple(a UInt8, `b c` Array(String))": {name: "Tuple", args: []nativeType{
			{name: "UInt8", size: 1}, {name: "Array", args: []nativeType{{name: "String"}}},
		}},
		"SimpleAggregateFunction(sum, UInt64)": {name: "SimpleAggregateFunction", args: []nativeType{{name: "UInt64", size: 8}}},
	} {
		got, err := parseType(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(nativeType{})); diff != "" {
			t.Errorf("%s: -want +got:\n%s", text, diff)
		}
	}
	for _, text := range []string{"", "Array", "Array(", "Map(String)", "FixedString(x)", "FixedString(-1)", "Variant(String)", "Decimal(0, 0)"} {
		if got, err := parseType(text); err == nil {
			t.Errorf("%q: no error, got %+v", text, got)
		}
	}
}

func FuzzAddRevision(f *testing.F) {
	f.Add(block(), 54460)
	f.Add([]byte("\x01\xff\xff\xff\xff\x07\x01t\x07Tuple()"), 1)
	f.Add([]byte("\x01\x02\x01t\x0dArray(String)\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x7f"), 54454)
	f.Fuzz(func(t *testing.T, src []byte, revision int) {
		out, err := addRevision(nil, src, revision)
		if err == nil && len(out) < len(src) {
			t.Errorf("%d bytes became %d", len(src), len(out))
		}
	})
}
