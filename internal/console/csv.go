package console

import (
	"encoding/csv"
	"io"
	"strings"
)

// maxCell is how much of a text a CSV cell shows, in characters.
const maxCell = 4096

// CSV writes rows for spreadsheets. Control characters are escaped, and a cell that a spreadsheet would take for a formula gets an
// apostrophe in front (OWASP, "CSV Injection").
type CSV struct{ w *csv.Writer }

// NewCSV returns a writer that has written the head.
func NewCSV(w io.Writer, head ...string) *CSV {
	c := &CSV{csv.NewWriter(w)}
	c.Row(head...)
	return c
}

// Row writes a row. Flush tells about errors.
func (c *CSV) Row(cells ...string) {
	out := make([]string, len(cells))
	for i, s := range cells {
		out[i] = Clean(s, maxCell)
		if formula(s) {
			out[i] = "'" + out[i]
		}
	}
	_ = c.w.Write(out) // kept for Flush
}

// formula tells whether a spreadsheet may evaluate the text.
func formula(s string) bool {
	first := strings.TrimLeft(s, " ")
	return first != "" && strings.ContainsAny(string([]rune(first)[:1]), "=+-@＝＋－＠\t\r\n")
}

// Flush writes what is buffered.
func (c *CSV) Flush() error {
	c.w.Flush()
	return c.w.Error()
}
