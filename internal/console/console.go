// Package console prints for people: colour on a terminal, plain text in a pipe, and nothing that an attacker wrote reaches
// the terminal unescaped.
package console

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/fatih/color"
	"golang.org/x/term"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

// terminal is what [os.File] and writers around one have.
type terminal interface{ Fd() uintptr }

// IsTerminal tells whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(terminal)
	return ok && term.IsTerminal(int(f.Fd()))
}

// WantsColour tells whether w is a terminal that shows colour and a person who wants it: NO_COLOR (no-color.org) and TERM=dumb
// turn it off.
func WantsColour(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && IsTerminal(w)
}

// Width returns the columns of the terminal w, 0 when w is none.
func Width(w io.Writer) int {
	f, ok := w.(terminal)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Clean makes text from outside safe to print: control and formatting characters are escaped, and it is cut to limit runes.
func Clean(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			b.WriteString("…")
			break
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRune(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

// Palette holds the colours of one output.
type Palette struct {
	Dim, Bold, Red, Green, Yellow, Cyan func(string) string
}

// NewPalette returns colours, or functions that change nothing.
func NewPalette(on bool) Palette {
	paint := func(attrs ...color.Attribute) func(string) string {
		c := color.New(attrs...)
		if on {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
		return func(s string) string { return c.Sprint(s) }
	}
	return Palette{Dim: paint(color.Faint), Bold: paint(color.Bold), Red: paint(color.FgRed, color.Bold), Green: paint(color.FgGreen),
		Yellow: paint(color.FgYellow), Cyan: paint(color.FgCyan)}
}

// Severity paints a severity's name, padded to eight columns.
func (p Palette) Severity(s alert.Severity) string {
	text := fmt.Sprintf("%-8s", s)
	switch s {
	case alert.Critical, alert.High:
		return p.Red(text)
	case alert.Medium:
		return p.Yellow(text)
	}
	return p.Cyan(text)
}

// Timeline prints what happens, a line each. It is safe for concurrent use.
type Timeline struct {
	mu    sync.Mutex
	w     io.Writer
	p     Palette
	stamp func() string
}

// NewTimeline prints to w. When start is not zero, lines carry the seconds since then, otherwise the time of day.
func NewTimeline(w io.Writer, start time.Time) *Timeline {
	stamp := func() string { return time.Now().Format("15:04:05.000") }
	if !start.IsZero() {
		stamp = func() string { return fmt.Sprintf("%7.3fs", time.Since(start).Seconds()) }
	}
	return &Timeline{w: w, p: NewPalette(WantsColour(w)), stamp: stamp}
}

func (t *Timeline) line(kind, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, "%s  %s  %s\n", t.p.Dim(t.stamp()), kind, fmt.Sprintf(format, args...))
}

// Note prints a plain line.
func (t *Timeline) Note(format string, args ...any) {
	t.line(t.p.Dim("·       "), format, args...)
}

// Attack says that an attacker of the demo begins.
func (t *Timeline) Attack(name, address string) {
	t.line(t.p.Yellow("attack  "), "%s begins from %s", Clean(name, 60), t.p.Bold(Clean(address, 60)))
}

// Alert prints an alert: what, who, and the numbers behind it.
func (t *Timeline) Alert(a *alert.Alert) {
	text := t.p.Bold(Clean(a.Title, 80)) + "  " + Entity(a.Group)
	if len(a.Values) > 0 {
		text += "  " + t.p.Dim(Measured(a))
	}
	t.line(t.p.Severity(a.Severity), "%s", text)
}

// Decision prints what a gateway is to do, or what it would have done.
func (t *Timeline) Decision(d *decision.Decision) {
	verb := Clean(string(d.Action), 12)
	text := d.Entity()
	if len(d.And) == 0 {
		text = d.Value
	}
	entity := t.p.Bold(Clean(text, 160))
	switch {
	case d.State == decision.Proposed:
		t.line(t.p.Yellow("held    "), "%s of %s: %s", verb, entity, Clean(d.Note, 120))
	case d.State == decision.Expired, d.State == decision.Revoked:
		t.line(t.p.Dim("ended   "), "%s of %s %s", verb, entity, d.State)
	case d.Mode == decision.Observe:
		t.line(t.p.Yellow("would   "), "%s %s for %s (%s)", verb, entity, Duration(d.Expires.Sub(d.Created)), source(d))
	default:
		t.line(t.p.Red(fmt.Sprintf("%-8s", verb)), "%s for %s (%s)", entity, Duration(d.Expires.Sub(d.Created)), source(d))
	}
}

// source is the rule that a decision comes from, or who made it.
func source(d *decision.Decision) string {
	if d.Reason.Rule != "" {
		return Clean(d.Reason.Rule, 60)
	}
	return "by " + Clean(strings.TrimPrefix(d.Creator, "person:"), 60)
}

// Refused says that an entity met its first refusal, d after the request that tripped the rule; zero when that is unknown.
func (t *Timeline) Refused(address string, d time.Duration) {
	after := ""
	if d > 0 {
		after = fmt.Sprintf(", %.1f ms after the request that gave it away", float64(d.Microseconds())/1000)
	}
	t.line(t.p.Green("refused "), "%s%s", t.p.Bold(Clean(address, 60)), after)
}

// Entity writes a group for people: "203.0.113.9", or "route=/login address=…" when there are several fields.
func Entity(group map[string]string) string {
	if len(group) == 0 {
		return "everyone"
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(group)) {
		if len(group) == 1 {
			return Clean(group[k], 120)
		}
		parts = append(parts, k+"="+Clean(group[k], 120))
	}
	return strings.Join(parts, " ")
}

// Duration writes a duration in whole seconds without parts that are zero: "15m", "1h30m", "45s".
func Duration(d time.Duration) string {
	s := d.Round(time.Second).String()
	if short, ok := strings.CutSuffix(s, "m0s"); ok {
		s = short + "m"
	}
	if short, ok := strings.CutSuffix(s, "h0m"); ok {
		s = short + "h"
	}
	return s
}

// Measured writes an alert's values: `failures=20 path.share=0.9 path.value="/login"`.
func Measured(a *alert.Alert) string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(a.Values)), maps.Keys(a.Texts))
	slices.Sort(names)
	var parts []string
	for _, k := range names {
		if text, ok := a.Texts[k]; ok {
			parts = append(parts, k+"="+strconv.Quote(Clean(text, 60)))
		} else {
			parts = append(parts, k+"="+strconv.FormatFloat(a.Values[k], 'g', 6, 64))
		}
	}
	return strings.Join(parts, " ")
}
