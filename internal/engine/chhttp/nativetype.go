package chhttp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of a column type as text. ClickHouse has no such bounds; no table of Warder's comes near.
const (
	maxTypeText  = 64 << 10
	maxTypeDepth = 32
)

// nativeType is a parsed column type: "Map(String, Array(UInt8))".
type nativeType struct {
	name string
	// args are the inner types of a composed type, without the element names of named tuples.
	args []nativeType
	// size is the width in bytes of a value of fixed size, 0 for the others.
	size int
}

// parseType reads a type's text.
func parseType(text string) (nativeType, error) {
	if len(text) > maxTypeText {
		return nativeType{}, fmt.Errorf("type has %d bytes, limit is %d", len(text), maxTypeText)
	}
	return parseNested(text, 0)
}

func parseNested(text string, depth int) (nativeType, error) {
	if depth > maxTypeDepth {
		return nativeType{}, errors.New("type is nested too deeply")
	}
	name, args, err := splitType(text)
	if err != nil {
		return nativeType{}, err
	}
	t := nativeType{name: name}
	if t.size, err = fixedSize(name, args); err != nil {
		return nativeType{}, err
	}
	inner, err := innerTypes(name, args)
	if err != nil {
		return nativeType{}, err
	}
	for _, a := range inner {
		at, err := parseNested(a, depth+1)
		if err != nil {
			return nativeType{}, err
		}
		t.args = append(t.args, at)
	}
	return t, nil
}

// splitType parts "Name(arg, arg)"; nesting and quotes are honoured.
func splitType(text string) (name string, args []string, err error) {
	i := strings.IndexByte(text, '(')
	if i < 0 {
		return text, nil, nil
	}
	if !strings.HasSuffix(text, ")") {
		return "", nil, fmt.Errorf("type %.60q: the closing bracket is missing", text)
	}
	depth, from, inner := 0, 0, text[i+1:len(text)-1]
	for k := 0; k < len(inner); k++ {
		switch c := inner[k]; c {
		case '\'', '`':
			for k++; k < len(inner) && inner[k] != c; k++ {
				if inner[k] == '\\' {
					k++
				}
			}
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				args = append(args, strings.TrimSpace(inner[from:k]))
				from = k + 1
			}
		}
	}
	return text[:i], append(args, strings.TrimSpace(inner[from:])), nil
}

// innerTypes picks the arguments of a composed type that are types.
func innerTypes(name string, args []string) ([]string, error) {
	want := map[string]int{"Array": 1, "Nullable": 1, "LowCardinality": 1, "Map": 2}[name]
	switch {
	case want > 0 && len(args) != want:
		return nil, fmt.Errorf("type %s has %d arguments, want %d", name, len(args), want)
	case want > 0:
		return args, nil
	case name == "Tuple":
		out := make([]string, len(args))
		for i, a := range args {
			out[i] = elementType(a)
		}
		return out, nil
	case name == "SimpleAggregateFunction" && len(args) > 1:
		return args[len(args)-1:], nil
	}
	return nil, nil
}

// elementType cuts the element's name off: "name Type(...)" becomes "Type(...)".
func elementType(a string) string {
	if strings.HasPrefix(a, "`") {
		return strings.TrimSpace(a[strings.LastIndexByte(a, '`')+1:])
	}
	space, bracket := strings.IndexByte(a, ' '), strings.IndexByte(a, '(')
	if space > 0 && (bracket < 0 || space < bracket) {
		return a[space+1:]
	}
	return a
}

// fixedSize returns the width of a value in bytes; 0 when it varies or the type is composed.
func fixedSize(name string, args []string) (int, error) {
	switch name {
	case "UInt8", "Int8", "Bool", "Enum8", "Nothing":
		return 1, nil
	case "UInt16", "Int16", "Date", "Enum16", "BFloat16":
		return 2, nil
	case "UInt32", "Int32", "Float32", "DateTime", "Date32", "IPv4", "Time", "Decimal32":
		return 4, nil
	case "UInt64", "Int64", "Float64", "DateTime64", "Time64", "Decimal64":
		return 8, nil
	case "UInt128", "Int128", "UUID", "IPv6", "Point", "Decimal128":
		return 16, nil
	case "UInt256", "Int256", "Decimal256":
		return 32, nil
	case "FixedString", "Decimal":
		return sizeArgument(name, args)
	case "String", "JSON", "Array", "Map", "Tuple", "Nullable", "LowCardinality", "SimpleAggregateFunction":
		return 0, nil
	}
	if strings.HasPrefix(name, "Interval") {
		return 8, nil
	}
	return 0, fmt.Errorf("type %.60q cannot be sent by the embedded engine; cast it to String", name)
}

// sizeArgument is fixedSize for the types whose argument tells the width.
func sizeArgument(name string, args []string) (int, error) {
	n := 0
	if len(args) > 0 {
		n, _ = strconv.Atoi(args[0])
	}
	if name == "FixedString" {
		if n < 1 || n > 1<<24 {
			return 0, errors.New("FixedString has no usable length")
		}
		return n, nil
	}
	switch {
	case n < 1 || n > 76:
		return 0, errors.New("type Decimal has no usable precision")
	case n <= 9:
		return 4, nil
	case n <= 18:
		return 8, nil
	case n <= 38:
		return 16, nil
	}
	return 32, nil
}
