package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/warder/warder/collector"
	"github.com/warder/warder/collector/accesslog"
	"github.com/warder/warder/detector/offline"
	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/internal/event"
)

type detectFlags struct {
	format, output string
	rules          []string
	noPacks        bool
	summary        bool
	progress       string
	workers        int
}

func newDetect(s streams) *cobra.Command {
	var f detectFlags
	c := &cobra.Command{Use: "detect FILE...", GroupID: "run", Short: "Find abuse in log files, no server needed",
		Long: `Reads access logs (plain, gzip or zstd; "-" is standard input) and prints what the rules find: JSON lines, or a table on a terminal. The
same input gives the same alerts, byte for byte, on any number of cores.

Formats: ` + strings.Join(accesslog.Formats(), ", ") + `. Without --format the first lines of each file tell.

Exits with 0 whether or not there are alerts; with 1 when a file could not be read to its end.`,
		Example: `  warder detect access.log
  warder detect --summary --format combined /var/log/nginx/access.log*
  zcat old.gz | warder detect --rules my-rules -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error { return f.run(c.Context(), s, files) }}
	c.Flags().StringVarP(&f.format, "format", "f", "", "log `format`; found out when not given")
	c.Flags().StringArrayVarP(&f.rules, "rules", "r", nil, "`file or folder` with rules to use besides the shipped packs; may be given again")
	c.Flags().BoolVar(&f.noPacks, "no-packs", false, "leave the shipped packs out")
	c.Flags().BoolVar(&f.summary, "summary", false, "end with lines read, refused, seconds, lines a second and alerts per rule")
	c.Flags().StringVarP(&f.output, "output", "o", "auto", "auto, json or table")
	c.Flags().StringVar(&f.progress, "progress", "auto", "auto, always or never: show how far it is, on standard error")
	c.Flags().IntVar(&f.workers, "workers", 0, "goroutines that parse and match (default one for each core)")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(accesslog.Formats(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"auto", "json", "table"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (f *detectFlags) check(files []string) error {
	switch {
	case f.format != "" && !slices.Contains(accesslog.Formats(), f.format):
		return fmt.Errorf("--format %q is unknown; choose one of %s", f.format, strings.Join(accesslog.Formats(), ", "))
	case !slices.Contains([]string{"auto", "json", "table"}, f.output):
		return fmt.Errorf("--output %q is unknown; choose auto, json or table", f.output)
	case !slices.Contains([]string{"auto", "always", "never"}, f.progress):
		return fmt.Errorf("--progress %q is unknown; choose auto, always or never", f.progress)
	case f.noPacks && len(f.rules) == 0:
		return errors.New("--no-packs leaves no rule; name your own with --rules")
	case f.workers < 0 || f.workers > 1024:
		return fmt.Errorf("--workers %d is not between 0 and 1024", f.workers)
	}
	for _, name := range files {
		if name == "-" {
			continue
		}
		st, err := os.Stat(name)
		if err != nil {
			return err
		}
		if st.IsDir() {
			return fmt.Errorf("%s is a folder; name its files", name)
		}
	}
	return nil
}

func (f *detectFlags) run(ctx context.Context, s streams, files []string) error {
	if err := f.check(files); err != nil {
		return usageError{err}
	}
	set, err := app.LoadRules(app.Rules{Packs: !f.noPacks, Paths: f.rules})
	if err != nil {
		return usageError{err}
	}
	norm, err := normaliser()
	if err != nil {
		return err
	}
	out := f.alertWriter(s)
	bar := f.bar(s)
	sum, err := offline.Run(ctx, offline.Options{Inputs: files, Stdin: s.in, Set: set, Workers: f.workers, Progress: bar.set, Out: out.write,
		Format: func(input string, sample [][]byte) (func() (offline.Parse, error), error) {
			return f.parser(input, sample, norm)
		}})
	bar.finish()
	if err := errors.Join(err, out.close()); err != nil {
		return err
	}
	if f.summary {
		return writeSummary(s, out.table, sum)
	}
	if sum.Refused > 0 {
		fmt.Fprintf(s.err, "warder: %d of %d lines were not access records; --summary shows some of them\n", sum.Refused, sum.Lines)
	}
	return nil
}

// normaliser is the collector's, with routes for all paths: a bound on routes would depend on the order of the workers.
func normaliser() (*collector.Normaliser, error) {
	cfg := collector.DefaultNormaliseConfig()
	cfg.Routes.MaxPerHost = 0
	return collector.NewNormaliser(cfg, prometheus.NewRegistry())
}

// parser chooses the format of one input.
func (f *detectFlags) parser(input string, sample [][]byte, norm *collector.Normaliser) (func() (offline.Parse, error), error) {
	format := f.format
	if format == "" {
		var err error
		if format, err = accesslog.Detect(sample); err != nil {
			return nil, fmt.Errorf("%s: %w; name one with --format", input, err)
		}
	}
	return func() (offline.Parse, error) {
		p, err := accesslog.NewParser(format)
		if err != nil {
			return nil, err
		}
		return func(line []byte, e *event.Event) error {
			if err := p.Parse(line, e); err != nil {
				return err
			}
			norm.Apply(e)
			return nil
		}, nil
	}, nil
}

// alertWriter prints alerts as they come, or as a table at the end.
type alertWriter struct {
	w     io.Writer
	table table.Writer // nil for JSON lines
	p     console.Palette
	rows  int
}

func (f *detectFlags) alertWriter(s streams) *alertWriter {
	tty := console.IsTerminal(s.out)
	o := &alertWriter{w: s.out, p: console.NewPalette(tty)}
	if f.output == "table" || f.output == "auto" && tty {
		o.table = table.NewWriter()
		o.table.SetStyle(table.StyleLight)
		o.table.AppendHeader(table.Row{"time", "severity", "rule", "who", "values", "example"})
	}
	return o
}

func (o *alertWriter) write(a *alert.Alert) error {
	if o.table == nil {
		b, err := a.Encode()
		if err != nil {
			return err
		}
		_, err = o.w.Write(append(b, '\n'))
		return err
	}
	o.rows++
	o.table.AppendRow(table.Row{a.Time.Format("2006-01-02 15:04:05"), strings.TrimSpace(o.p.Severity(a.Severity)), a.Rule, console.Entity(a.Group),
		console.Numbers(a.Values), example(a)})
	return nil
}

// example shows the request that tripped the rule.
func example(a *alert.Alert) string {
	if a.Sample == nil {
		return ""
	}
	target := a.Sample.Path
	if a.Sample.Query != "" {
		target += "?" + a.Sample.Query
	}
	return console.Clean(fmt.Sprintf("%s %s %d", a.Sample.Method, target, a.Sample.Code), 60)
}

func (o *alertWriter) close() error {
	if o.table == nil {
		return nil
	}
	text := "no alerts"
	if o.rows > 0 {
		text = o.table.Render()
	}
	_, err := fmt.Fprintln(o.w, text)
	return err
}

// progress shows how far the reading is.
type progress struct{ bar *progressbar.ProgressBar }

func (f *detectFlags) bar(s streams) *progress {
	if f.progress == "never" || f.progress == "auto" && !console.IsTerminal(s.err) {
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

// writeSummary ends the output: one JSON object after JSON lines, a table after a table.
func writeSummary(s streams, tbl table.Writer, sum offline.Summary) error {
	if tbl == nil {
		return json.NewEncoder(s.out).Encode(map[string]any{"summary": sum})
	}
	row := func(name string, v any) { fmt.Fprintf(s.out, "  %-16s %v\n", name, v) }
	row("lines read", sum.Lines)
	row("lines refused", sum.Refused)
	row("seconds", fmt.Sprintf("%.3f", sum.Seconds))
	row("lines a second", fmt.Sprintf("%.0f", sum.LinesPerSecond))
	for _, id := range slices.Sorted(maps.Keys(sum.Alerts)) {
		row(id, sum.Alerts[id])
	}
	for _, l := range sum.Samples {
		fmt.Fprintf(s.out, "  refused %s: %s: %s\n", console.Clean(l.Place, 200), l.Why, l.Text)
	}
	return nil
}
