package console

import (
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// gap separates columns, and minLast is how narrow the last one may become before it is left out.
const (
	gap     = "  "
	minLast = 16
)

// Table prints rows in columns. The most telling columns come first: on a narrow terminal the last ones are left out, and the
// last one that is shown is cut. Cells may be painted, and must be clean.
type Table struct {
	header []string
	rows   [][]string
}

// NewTable returns a table with these column heads, or without a head line when there are none.
func NewTable(header ...string) *Table { return &Table{header: header} }

// Row adds a row.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// Len returns the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Write prints the table, at most width columns wide; 0 is no limit.
func (t *Table) Write(w io.Writer, p Palette, width int) error {
	widths := fit(t.widths(), width)
	var b strings.Builder
	if len(t.header) > 0 {
		b.WriteString(p.Dim(line(t.header, widths)) + "\n")
	}
	for _, r := range t.rows {
		b.WriteString(line(r, widths) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// widths returns what each column needs.
func (t *Table) widths() []int {
	var out []int
	for _, r := range append([][]string{t.header}, t.rows...) {
		for i, cell := range r {
			if i == len(out) {
				out = append(out, 0)
			}
			out[i] = max(out[i], text.StringWidthWithoutEscSequences(cell))
		}
	}
	return out
}

// fit leaves columns out, and cuts the last one that stays, until the table is at most width wide.
func fit(widths []int, width int) []int {
	for width > 0 && len(widths) > 1 {
		last := len(widths) - 1
		before := last * len(gap)
		for _, n := range widths[:last] {
			before += n
		}
		room := width - before
		if widths[last] <= room {
			break
		}
		if room >= minLast {
			widths[last] = room
			break
		}
		widths = widths[:last]
	}
	return widths
}

// line joins cells that are padded and cut to the widths.
func line(cells []string, widths []int) string {
	var b strings.Builder
	for i, n := range widths {
		cell := ""
		if i < len(cells) {
			cell = cells[i]
		}
		if i > 0 {
			b.WriteString(gap)
		}
		if text.StringWidthWithoutEscSequences(cell) > n {
			cell = text.Snip(cell, n, "…")
		}
		b.WriteString(text.Pad(cell, n, ' '))
	}
	return strings.TrimRight(b.String(), " ")
}
