package sigma

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/warder/warder/rules"
)

// verify loads what was made with the program's own loader; what does not load is refused.
func (c *converter) verify() {
	made := memory{}
	of := map[string]*source{}
	var names []string
	for _, s := range c.sources {
		if s.err == nil && s.made != nil && c.used[s] == nil {
			name := s.made.id + ".yaml"
			made[name], of[name] = s.made.yaml(), s
			names = append(names, name)
		}
	}
	for len(names) > 0 {
		n := min(len(names), rules.MaxRules)
		_, err := rules.Load(made, names[:n]...)
		names = names[n:]
		for _, e := range flatten(err) {
			var bad *rules.Error
			if !errors.As(e, &bad) || of[bad.File] == nil {
				continue
			}
			if s := of[bad.File]; s.err == nil {
				s.err = refuse(s.at, "the converted rule does not load: %s: %s", bad.Key, bad.Msg)
			}
		}
	}
	for _, s := range c.sources {
		for by := s; s.err == nil && c.used[by] != nil; {
			if by = c.used[by]; by.err != nil {
				s.err = refuse(s.at, "serves only the correlation %q, which is refused", printable(by.title, 100))
			}
		}
	}
}

func flatten(err error) []error {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range j.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}

// memory is a file system of texts by name.
type memory map[string]string

// Open implements fs.FS.
func (m memory) Open(name string) (fs.File, error) {
	text, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memoryFile{Reader: strings.NewReader(text), name: name, size: int64(len(text))}, nil
}

// memoryFile is an open file and what there is to know about it.
type memoryFile struct {
	io.Reader
	name string
	size int64
}

// Stat implements fs.File.
func (f *memoryFile) Stat() (fs.FileInfo, error) { return f, nil }

// Close implements fs.File.
func (f *memoryFile) Close() error { return nil }

// Name implements fs.FileInfo.
func (f *memoryFile) Name() string { return f.name }

// Size implements fs.FileInfo.
func (f *memoryFile) Size() int64 { return f.size }

// Mode implements fs.FileInfo.
func (f *memoryFile) Mode() fs.FileMode { return 0o444 }

// ModTime implements fs.FileInfo.
func (f *memoryFile) ModTime() time.Time { return time.Time{} }

// IsDir implements fs.FileInfo.
func (f *memoryFile) IsDir() bool { return false }

// Sys implements fs.FileInfo.
func (f *memoryFile) Sys() any { return nil }
