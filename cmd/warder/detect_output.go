package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/warder/warder/detector/offline"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/console"
)

// maxRows bounds what a table holds in memory; nobody reads more. maxEntity is how much of a group it shows, enough for an IPv6 address.
const (
	maxRows   = 10_000
	maxEntity = 45
)

// alertWriter prints alerts: JSON lines as they come, or a table at the end.
type alertWriter struct {
	w      io.Writer
	table  *console.Table // nil for JSON lines
	p      console.Palette
	alerts int
}

func (f *detectFlags) alertWriter(s streams) *alertWriter {
	o := &alertWriter{w: s.out, p: console.NewPalette(console.WantsColour(s.out))}
	if f.output == asTable || f.output == auto && console.IsTerminal(s.out) {
		o.table = console.NewTable("time", "severity", "rule", "who", "evidence")
	}
	return o
}

func (o *alertWriter) write(a *alert.Alert) error {
	o.alerts++
	if o.table == nil {
		b, err := a.Encode()
		if err != nil {
			return err
		}
		_, err = o.w.Write(append(b, '\n'))
		return err
	}
	if o.table.Len() < maxRows {
		o.table.Row(a.Time.Format("2006-01-02 15:04:05"), o.p.Severity(a.Severity), a.Rule, console.Clean(console.Entity(a.Group), maxEntity), evidence(a))
	}
	return nil
}

// evidence shows the numbers, and the request that tripped the rule.
func evidence(a *alert.Alert) string {
	parts := []string{}
	if len(a.Values) > 0 {
		parts = append(parts, console.Measured(a))
	}
	if s := a.Sample; s != nil {
		target := s.Path
		if s.Query != "" {
			target += "?" + s.Query
		}
		parts = append(parts, console.Clean(fmt.Sprintf("%s %s", s.Method, target), 80)+fmt.Sprintf(" → %d", s.Code))
	}
	return strings.Join(parts, "  ")
}

// close prints the table.
func (o *alertWriter) close() error {
	if o.table == nil {
		return nil
	}
	if o.alerts == 0 {
		_, err := fmt.Fprintln(o.w, "no alerts")
		return err
	}
	if err := o.table.Write(o.w, o.p, console.Width(o.w)); err != nil {
		return err
	}
	if more := o.alerts - o.table.Len(); more > 0 {
		_, err := fmt.Fprintf(o.w, "… and %d more alerts; --output json prints all\n", more)
		return err
	}
	return nil
}

// summaryLine is the last JSON line with --summary, under the key "summary". docs/detection.md describes it.
type summaryLine struct {
	Lines          uint64                `json:"lines"`
	Refused        uint64                `json:"refused"`
	Seconds        float64               `json:"seconds"`
	LinesPerSecond float64               `json:"lines_per_second"`
	Alerts         map[string]int        `json:"alerts"`
	Irregular      map[string]uint64     `json:"irregular,omitempty"`
	RefusedSamples []offline.RefusedLine `json:"refused_samples,omitempty"`
}

func newSummaryLine(sum offline.Summary) summaryLine {
	l := summaryLine{Lines: sum.Lines, Refused: sum.Refused, Seconds: math.Round(sum.Seconds*1e6) / 1e6, LinesPerSecond: math.Round(sum.LinesPerSecond),
		Alerts: sum.Alerts, RefusedSamples: sum.Samples, Irregular: map[string]uint64{}}
	d := sum.Detector
	for name, n := range map[string]uint64{"late": d.Late, "odd": d.Odd, "untimed": d.Untimed, "failed": d.Failed, "evicted": d.Evicted,
		"forgotten": d.Forgotten, "suspended": d.Suspended} {
		if n > 0 {
			l.Irregular[name] = n
		}
	}
	return l
}

// summary ends the output: one JSON object after JSON lines, aligned lines after a table.
func (o *alertWriter) summary(sum offline.Summary) error {
	l := newSummaryLine(sum)
	if o.table == nil {
		return json.NewEncoder(o.w).Encode(map[string]any{"summary": l})
	}
	t := console.NewTable()
	row := func(name, value string) { t.Row("", o.p.Dim(name), value) }
	row("lines read", fmt.Sprint(l.Lines))
	row("lines refused", fmt.Sprint(l.Refused))
	row("seconds", fmt.Sprintf("%.3f", l.Seconds))
	row("lines a second", fmt.Sprintf("%.0f", l.LinesPerSecond))
	row("alerts", fmt.Sprint(o.alerts))
	for _, id := range slices.Sorted(maps.Keys(l.Alerts)) {
		row("  "+id, fmt.Sprint(l.Alerts[id]))
	}
	for _, kind := range slices.Sorted(maps.Keys(l.Irregular)) {
		row("matches "+kind, fmt.Sprint(l.Irregular[kind]))
	}
	if _, err := fmt.Fprintln(o.w); err != nil {
		return err
	}
	if err := t.Write(o.w, o.p, console.Width(o.w)); err != nil {
		return err
	}
	for _, r := range l.RefusedSamples {
		if _, err := fmt.Fprintf(o.w, "  %s  %s: %s: %s\n", o.p.Dim("refused"), console.Clean(r.Place, 200), console.Clean(r.Why, 200), r.Text); err != nil {
			return err
		}
	}
	return nil
}

// progress shows how far the reading is.
type progress struct{ bar *progressbar.ProgressBar }

func (f *detectFlags) bar(s streams) *progress {
	redraws := console.IsTerminal(s.err) && os.Getenv("TERM") != "dumb"
	if f.progress == never || f.progress == auto && !redraws {
		return &progress{}
	}
	return &progress{bar: progressbar.NewOptions64(-1, progressbar.OptionSetWriter(s.err), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription("reading"), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetPredictTime(true))}
}

func (p *progress) set(done, total int64) {
	if p.bar == nil {
		return
	}
	if total >= 0 && p.bar.GetMax64() != total {
		p.bar.ChangeMax64(total)
	}
	_ = p.bar.Set64(done) // a bar that cannot be drawn is no reason to stop
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
