package rules

import (
	"strings"
	"unicode"
)

// Bounds of what a rule says about itself, in bytes and entries.
const (
	maxOwner    = 120
	maxMetadata = 1024
	maxNotes    = 64
)

// metadata reads what people want to know of a rule and detection does not: it changes no version.
func (b *builder) metadata() {
	r, raw := b.rule, b.raw
	r.Owner = b.note("owner", raw.Owner, maxOwner)
	r.Author = b.note("author", raw.Author, maxMetadata)
	r.License = b.note("license", raw.License, maxMetadata)
	r.SourceID = b.note("source_id", raw.SourceID, maxOwner)
	r.References = b.notes("references", raw.References)
	r.FalsePositives = b.notes("falsepositives", raw.FalsePositives)
}

// note reads one line of text.
func (b *builder) note(key string, v scalar, limit int) string {
	text := strings.TrimSpace(v.Value)
	switch {
	case len(text) > limit:
		b.fail(key, v, "has %d bytes, limit is %d", len(text), limit)
	case strings.ContainsFunc(text, unicode.IsControl):
		b.fail(key, v, "want one line without control characters")
	}
	return text
}

func (b *builder) notes(key string, list []scalar) []string {
	if len(list) > maxNotes {
		b.fail(key, list[maxNotes], "has %d entries, limit is %d", len(list), maxNotes)
		return nil
	}
	var out []string
	for _, v := range list {
		out = append(out, b.note(key, v, maxMetadata))
	}
	return out
}
