package rules

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/warder/warder/internal/event"
)

// heritage says where a rule is written, and where those that it extends are.
type heritage struct {
	src    source
	line   int // of the document's first key
	parent *heritage
}

// written is one document of a rule, read again.
type written struct {
	raw  *ruleYAML
	src  source
	keys map[string]bool // at the top
}

// rereadAll parses the rule's document and those of the rules that it extends, nearest first. One that cannot be read again, which
// none can be that the rule was loaded from, ends the list.
func (r *Rule) rereadAll() []written {
	var out []written
	for h := r.written; h != nil; h = h.parent {
		w, err := h.reread(r)
		if err != nil {
			break
		}
		out = append(out, w)
	}
	return out
}

// reread parses a document again, for what a compiled rule does not keep: the events that are written in its tests and the places of
// its expressions. Lines are those of the file.
func (h *heritage) reread(r *Rule) (written, error) {
	if h == nil {
		return written{}, fmt.Errorf("rule %s was not read from a file", r.ID)
	}
	first := documentStart(h.src, h.line)
	text := h.src.text[h.src.offset(first, 1):]
	if end := documentEnd(text); end >= 0 {
		text = text[:end]
	}
	src := h.src
	f, err := parseYAML(text, first)
	if err != nil {
		return written{}, src.yamlError(err)
	}
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		w := written{raw: new(ruleYAML), src: src, keys: map[string]bool{}}
		if err := decodeYAML(doc.Body, w.raw); err != nil {
			return written{}, src.yamlError(err)
		}
		for _, v := range entries(doc.Body) {
			w.keys[keyText(v)] = true
		}
		return w, nil
	}
	return written{}, &Error{File: h.src.file, Line: h.line, Rule: r.ID, Msg: "cannot be read again"}
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
// for in fsys beside the rule's file. They are read anew each time, with
// the heartbeats that a rule which waits for time needs in pauses. A rule that extends another one has its own tests only. The function
// belongs to one goroutine.
func (r *Rule) TestEvents(fsys fs.FS) func(i int) ([]*event.Event, error) {
	var raw *ruleYAML
	return func(i int) ([]*event.Event, error) {
		t := &r.Tests[i]
		if t.File != "" {
			events, err := readFixture(fsys, path.Join(path.Dir(r.File), t.File))
			return r.withHeartbeats(events), err
		}
		if raw == nil {
			w, err := r.written.reread(r)
			if err != nil {
				return nil, err
			}
			raw = w.raw
		}
		if i >= len(raw.Tests) {
			return nil, fmt.Errorf("test %q is not in its file", t.Name)
		}
		events, err := inlineEvents(raw.Tests[i].Events.Inline)
		return r.withHeartbeats(events), err
	}
}
