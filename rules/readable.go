package rules

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// maxYAMLDepth is how deep a file's collections nest. The deepest key of a rule, a field of an event of a test, is at six.
const maxYAMLDepth = 60

// readRegular reads a file of at most limit bytes. A pipe or a device, which may never end or never begin, is refused; so is a
// file that is longer than its size says.
func readRegular(fsys fs.FS, name string, limit int64) ([]byte, error) {
	st, err := fs.Stat(fsys, name)
	switch {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("is no regular file: pipes and devices are not read")
	case st.Size() > limit:
		return nil, fmt.Errorf("file has %d bytes, limit is %d", st.Size(), limit)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("file has more than %d bytes", limit)
	}
	return b, err
}

// readable refuses what YAML forbids in a file and its parser lets through: other encodings than UTF-8, and control characters,
// which would come out again in alerts, pages and terminals. Within a text they can be written as escapes: "\x00".
func readable(file, text string) error {
	line, start := 1, 0
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		msg := ""
		switch {
		case r == utf8.RuneError && n == 1 && (strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff")):
			return &Error{File: file, Line: 1, Msg: "is UTF-16: save the file as UTF-8"}
		case r == utf8.RuneError && n == 1:
			msg = fmt.Sprintf("the byte %#02x is not UTF-8: save the file as UTF-8", text[i])
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r >= 0x7f && r <= 0x9f && r != 0x85:
			msg = fmt.Sprintf("the control character U+%04X is not allowed: in quotes it can be written as \"\\x%02x\"", r, r)
		case r == '\n':
			line, start = line+1, i+n
		}
		if msg != "" {
			whole, _, _ := strings.Cut(text[start:], "\n")
			return &Error{File: file, Line: line, Column: utf8.RuneCountInString(text[start:i]) + 1, Msg: msg, Source: strings.ToValidUTF8(whole, "\ufffd")}
		}
		i += n
	}
	return nil
}
