// Package config reads YAML strictly and holds the value types that every configuration uses. The configuration itself is
// made of each package's own Config and put together in internal/app. The package is a leaf.
package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// MaxFile is the largest file that Load reads, in bytes.
const MaxFile = 1 << 20

// Error is a fault in a configuration file: where it is and what to do.
type Error struct {
	File string
	Line int    // from 1; 0 when unknown
	Key  string // full path: "sinks.email.smarthost"
	Msg  string
}

// Error returns "file:line: key: message".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	b.WriteString(": " + e.Msg)
	return b.String()
}

// FieldError is what a Validate method returns: the key relative to the validated value, and what is wrong with it.
type FieldError struct {
	Key string
	Msg string
}

func (e *FieldError) Error() string { return e.Key + ": " + e.Msg }

// Errorf makes a FieldError.
func Errorf(key, format string, args ...any) error {
	return &FieldError{Key: key, Msg: fmt.Sprintf(format, args...)}
}

// In puts a key in front of each FieldError in err: In("email", err). Joined errors stay joined. nil stays nil.
func In(key string, err error) error {
	if err == nil {
		return nil
	}
	var out []error
	for _, e := range flatten(err) {
		var f *FieldError
		if !errors.As(e, &f) {
			out = append(out, &FieldError{Key: key, Msg: e.Error()})
			continue
		}
		sep := "."
		if strings.HasPrefix(f.Key, "[") {
			sep = ""
		}
		out = append(out, &FieldError{Key: key + sep + f.Key, Msg: f.Msg})
	}
	return errors.Join(out...)
}

// Validator is what a configuration may implement to be checked after decoding; its errors are FieldErrors, possibly joined.
type Validator interface{ Validate() error }

// Load reads the file into v, which holds the defaults, and validates it. Unknown keys, wrong types and duplicate keys are
// errors. Every returned error is an [*Error] or several joined.
func Load(file string, v any) error {
	st, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if st.Size() > MaxFile {
		return &Error{File: file, Msg: fmt.Sprintf("file has %d bytes, limit is %d", st.Size(), MaxFile)}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	return Decode(file, b, v)
}

// Decode is Load for text that is already read; file is only named in errors.
func Decode(file string, text []byte, v any) error {
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return syntaxError(file, err)
	}
	if len(f.Docs) > 1 {
		e := &Error{File: file, Msg: "more than one YAML document in the file; keep the first and remove the rest"}
		if start := f.Docs[1].Start; start != nil && start.Position != nil {
			e.Line = start.Position.Line
		}
		return e
	}
	if len(f.Docs) == 1 && f.Docs[0].Body != nil && f.Docs[0].Body.Type() != ast.NullType {
		if err := yaml.NodeToValue(f.Docs[0].Body, v, yaml.Strict()); err != nil {
			return decodeError(file, f.Docs[0].Body, v, err)
		}
	}
	val, ok := v.(Validator)
	if !ok {
		return nil
	}
	return place(file, f, val.Validate())
}

// At gives the FieldErrors in err their line in the file, for faults that only show when the configuration is used. Other
// errors stay as they are.
func At(file string, err error) error {
	text, readErr := os.ReadFile(file)
	if readErr != nil {
		text = nil
	}
	f, parseErr := parser.ParseBytes(text, 0)
	if parseErr != nil {
		f = &ast.File{}
	}
	var out []error
	for _, e := range flatten(err) {
		var fe *FieldError
		if errors.As(e, &fe) {
			e = place(file, f, e)
		}
		out = append(out, e)
	}
	return errors.Join(out...)
}

// place makes Errors of what Validate returned.
func place(file string, f *ast.File, err error) error {
	var out []error
	for _, e := range flatten(err) {
		var fe *FieldError
		if errors.As(e, &fe) {
			out = append(out, &Error{File: file, Line: lineOf(f, fe.Key), Key: fe.Key, Msg: fe.Msg})
		} else {
			out = append(out, &Error{File: file, Msg: e.Error()})
		}
	}
	return errors.Join(out...)
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}

func syntaxError(file string, err error) error {
	var ye yaml.Error
	if !errors.As(err, &ye) {
		return &Error{File: file, Msg: err.Error()}
	}
	e := &Error{File: file, Msg: ye.GetMessage()}
	if t := ye.GetToken(); t != nil && t.Position != nil {
		e.Line = t.Position.Line
	}
	return e
}

// decodeError is syntaxError for faults that came up in decoding into v; those without a place are given one.
func decodeError(file string, body ast.Node, v any, err error) error {
	var ye yaml.Error
	if errors.As(err, &ye) {
		return syntaxError(file, err)
	}
	return &Error{File: file, Line: locate(body, v, err), Msg: err.Error()}
}

// lineOf finds the line of the key, or of the nearest parent that the file has.
func lineOf(f *ast.File, key string) int {
	for key != "" {
		if p, err := yaml.PathString("$." + key); err == nil {
			if n, err := p.FilterFile(f); err == nil && n != nil && n.GetToken() != nil {
				return n.GetToken().Position.Line
			}
		}
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			return 0
		}
		key = key[:i]
	}
	return 0
}
