package rules

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/warder/warder/internal/event"
)

// reread parses the rule's document again, for what a compiled rule does not keep: the events that are written in its tests and
// the places of its expressions. Lines are those of the file.
func (r *Rule) reread() (*ruleYAML, source, error) {
	first := documentStart(r.src, r.Line)
	text := r.src.text[r.src.offset(first, 1):]
	if end := documentEnd(text); end >= 0 {
		text = text[:end]
	}
	src := r.src
	f, err := parseYAML(text, first)
	if err != nil {
		return nil, src, src.yamlError(err)
	}
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		raw := new(ruleYAML)
		if err := decodeYAML(doc.Body, raw); err != nil {
			return nil, src, src.yamlError(err)
		}
		return raw, src, nil
	}
	return nil, src, &Error{File: r.File, Line: r.Line, Rule: r.ID, Msg: "cannot be read again"}
}

// documentStart is the first line of the document that has its first key at a line: in JSON a brace may stand before it.
func documentStart(src source, line int) int {
	for ; line > 1; line-- {
		if marker(src.text[src.offset(line-1, 1):]) {
			break
		}
	}
	return line
}

// marker tells whether the text begins with a line that ends a document.
func marker(text string) bool {
	return (strings.HasPrefix(text, "---") || strings.HasPrefix(text, "...")) && (len(text) == 3 || isSpace(text[3]))
}

// documentEnd is where the first YAML document of the text ends, -1 for the text's end. A line of "---" or "..." always ends a
// document: scalars of more than one line are indented, and YAML forbids these at the margin of a quoted one.
func documentEnd(text string) int {
	for at := 0; ; {
		i := strings.IndexByte(text[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		if marker(text[at:]) {
			return at
		}
	}
}

// TestEvents returns a function that reads the events of r.Tests[i], from the rule itself or from its fixture file, which is looked
// for in fsys beside the rule's file. They are read anew each time, with the heartbeats that a rule which waits for time needs in pauses. The function belongs to one goroutine.
func (r *Rule) TestEvents(fsys fs.FS) func(i int) ([]*event.Event, error) {
	var raw *ruleYAML
	return func(i int) ([]*event.Event, error) {
		t := &r.Tests[i]
		if t.File != "" {
			events, err := readFixture(fsys, path.Join(path.Dir(r.File), t.File))
			return r.withHeartbeats(events), err
		}
		if raw == nil {
			var err error
			if raw, _, err = r.reread(); err != nil {
				return nil, err
			}
		}
		if i >= len(raw.Tests) {
			return nil, fmt.Errorf("test %q is not in its file", t.Name)
		}
		events, err := inlineEvents(raw.Tests[i].Events.Inline)
		return r.withHeartbeats(events), err
	}
}
