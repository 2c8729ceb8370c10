package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/warder/warder/collector"
	"github.com/warder/warder/collector/accesslog"
	"github.com/warder/warder/detector/offline"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

type detectFlags struct {
	format, output string
	rules          []string
	noPacks        bool
	summary        bool
	progress       string
	workers        int
	enrich         enrichFlags
}

// What --output and --progress take.
const (
	auto      = "auto"
	asJSON    = "json"
	asTable   = "table"
	always    = "always"
	never     = "never"
	maxWorker = 1024
)

func newDetect(s streams) *cobra.Command {
	var f detectFlags
	c := &cobra.Command{Use: "detect FILE...", GroupID: "run", Short: "Find abuse in log files, no server needed",
		Long: `Reads access logs (plain, gzip or zstd; "-" is standard input) and prints what
the rules find: JSON lines, or a table on a terminal. The same input gives the
same alerts, byte for byte, on any number of cores.

Formats:
` + wrap(formats(), 76) + `
Without --format the first lines of each file tell; auto looks at each line by
itself, for files of mixed formats.

A narrow terminal shows fewer columns; --output json has everything.

Exits with 0 whether or not there are alerts, with 1 when a file could not be
read to its end, or none of its lines is an access record.`,
		Example: `  warder detect access.log
  warder detect --summary --format combined /var/log/nginx/access.log*
  warder detect --geo GeoLite2-City.mmdb --intel ipsum=ipsum.txt access.log
  zcat old.gz | warder detect --rules my-rules -`,
		Args: someArgs("at least one log file, or - for standard input"),
		RunE: func(c *cobra.Command, files []string) error { return f.run(c.Context(), s, files) }}
	c.Flags().StringVarP(&f.format, "format", "f", "", "log `format`; told from the first lines when not given")
	c.Flags().StringArrayVarP(&f.rules, "rules", "r", nil, "`path` of a rule file or a folder of them, besides the shipped packs; may be given again")
	c.Flags().BoolVar(&f.noPacks, "no-packs", false, "leave the shipped packs out")
	c.Flags().BoolVar(&f.summary, "summary", false, "end with lines read, refused, seconds, lines a second and alerts per rule")
	f.enrich.register(c.Flags())
	c.Flags().StringVarP(&f.output, "output", "o", auto, "`kind` of output: auto, json or table")
	c.Flags().StringVar(&f.progress, "progress", auto, "`when` to show on standard error how far it is: auto, always or never")
	c.Flags().IntVar(&f.workers, "workers", 0, "`number` of goroutines that parse and match (default one for each core)")
	for name, values := range map[string][]string{"format": formats(), "output": {auto, asJSON, asTable}, "progress": {auto, always, never}} {
		_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	}
	return c
}

// formats lists the names of the log formats.
func formats() []string {
	return slices.Sorted(slices.Values(accesslog.Formats()))
}

// wrap writes words into indented lines of a width.
func wrap(words []string, width int) string {
	var b strings.Builder
	n := width
	for i, w := range words {
		if i < len(words)-1 {
			w += ","
		}
		if n += 1 + len(w); n > width {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteByte(' ')
			n = 2 + len(w)
		}
		b.WriteString(" " + w)
	}
	return b.String()
}

// check finds what is wrong with the command line before anything is read.
func (f *detectFlags) check(files []string) error {
	switch {
	case f.format != "" && !slices.Contains(formats(), f.format):
		return fmt.Errorf("--format %.80q is unknown; choose one of %s, or leave it out", f.format, strings.Join(formats(), ", "))
	case !slices.Contains([]string{auto, asJSON, asTable}, f.output):
		return fmt.Errorf("--output %.80q is unknown; choose auto, json or table", f.output)
	case !slices.Contains([]string{auto, always, never}, f.progress):
		return fmt.Errorf("--progress %.80q is unknown; choose auto, always or never", f.progress)
	case f.noPacks && len(f.rules) == 0:
		return errors.New("--no-packs leaves no rule; name your own with --rules")
	case f.workers < 0 || f.workers > maxWorker:
		return fmt.Errorf("--workers %d is not between 0 and %d", f.workers, maxWorker)
	}
	for i, name := range files {
		if slices.Contains(files[:i], name) {
			return fmt.Errorf("%s is named twice; its lines would count twice", name)
		}
		if name == "-" {
			continue
		}
		st, err := os.Stat(name)
		if err != nil {
			return pathError(err)
		}
		if st.IsDir() {
			return fmt.Errorf("%s is a folder; name the log files in it", name)
		}
	}
	return nil
}

// pathError leaves the name of the system call out.
func pathError(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}

func (f *detectFlags) run(ctx context.Context, s streams, files []string) error {
	if err := f.check(files); err != nil {
		return usageError{err}
	}
	x, err := f.enrich.enricher()
	if err != nil {
		return err
	}
	set, err := app.LoadRules(app.Rules{Packs: !f.noPacks, Paths: f.rules}, x.Geo())
	if err == nil {
		err = notEmpty(set, f.rules)
	}
	if err != nil {
		return usageError{err}
	}
	if users := set.UsesGeo(); len(users) > 0 && x.Geo() == nil {
		fmt.Fprintf(s.err, "warder: %s: geo() knows no place without a database; name one with --geo\n", strings.Join(users, ", "))
	}
	norm, err := normaliser()
	if err != nil {
		return err
	}
	complete := func(e *event.Event) {
		norm.Apply(e)
		x.Apply(e)
		x.Judge(e)
	}
	out := f.alertWriter(s)
	bar := f.bar(s)
	sum, err := offline.Run(ctx, offline.Options{Inputs: files, Stdin: newInterruptible(ctx, s.in), Set: set, Workers: f.workers, Progress: bar.set, Out: out.write,
		Format: func(_ string, sample [][]byte) (func() (offline.Parse, error), error) {
			return f.parser(sample, complete)
		}})
	bar.finish()
	f.enrich.tell(s.err, x)
	if ctx.Err() == nil || out.alerts > 0 {
		err = errors.Join(err, out.close())
	}
	if sum.Refused > 0 && !f.summary {
		first := sum.Samples[0]
		fmt.Fprintf(s.err, "warder: %d of %d lines are no access records and were left out, the first at %s: %s\n", sum.Refused, sum.Lines, first.Place, first.Why)
	}
	if f.summary {
		err = errors.Join(err, out.summary(sum))
	}
	if sum.Refused > 0 && sum.Detector.Events == 0 && err == nil {
		return errors.New("not one line is an access record; name another --format")
	}
	return err
}

// notEmpty refuses a set without rules, which finds nothing and looks like good news.
func notEmpty(set *rules.Set, paths []string) error {
	if len(set.Rules()) == 0 {
		return fmt.Errorf("there is no rule in %s; rules are in files *.yaml", strings.Join(paths, ", "))
	}
	return nil
}

// normaliser is the collector's, with routes for all paths: a bound on routes would depend on the order of the workers.
func normaliser() (*collector.Normaliser, error) {
	cfg := collector.DefaultNormaliseConfig()
	cfg.Routes.MaxPerHost = 0
	return collector.NewNormaliser(cfg, prometheus.NewRegistry())
}

// parser chooses the format of one input; complete is what follows the parsing of a line.
func (f *detectFlags) parser(sample [][]byte, complete func(*event.Event)) (func() (offline.Parse, error), error) {
	format := f.format
	if format == "" {
		var err error
		if format, err = accesslog.Detect(sample); err != nil {
			return nil, errors.New("this is in no access-log format that Warder can tell; name one with --format")
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
			complete(e)
			return nil
		}, nil
	}, nil
}
