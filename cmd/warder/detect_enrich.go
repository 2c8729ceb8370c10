package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"github.com/warder/warder/collector/enrich"
	"github.com/warder/warder/internal/config"
)

// enrichFlags say what lines get that they do not say themselves; the same as collector.enrich in a configuration.
type enrichFlags struct {
	geo, intel []string
	waf        int
}

func (f *enrichFlags) register(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.geo, "geo", nil, "MaxMind database `file` for source.country and source.asn; may be given again")
	flags.StringArrayVar(&f.intel, "intel", nil, "`NAME=FILE`: addresses and networks, one a line, that intel.lists names; may be given again")
	flags.IntVar(&f.waf, "waf", 0, "`paranoia` level, 1 to 4, of the Core Rule Set for waf.score and waf.rules; slow, about a millisecond a line")
}

// enricher reads the files. All errors are the command line's.
func (f *enrichFlags) enricher() (*enrich.Enricher, error) {
	cfg := enrich.DefaultConfig()
	cfg.Geo.Databases = f.geo
	for _, s := range f.intel {
		name, file, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usageError{fmt.Errorf("--intel %.80q is not NAME=FILE, for example ipsum=ipsum.txt", s)}
		}
		cfg.Intel = append(cfg.Intel, enrich.IntelConfig{Name: name, File: file})
	}
	if f.waf != 0 {
		cfg.WAF.Enabled, cfg.WAF.Paranoia = true, f.waf
	}
	x, err := enrich.New(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil, usageError{f.flagged(err)}
	}
	return x, nil
}

// flagged says the flag where the configuration's key stands.
func (f *enrichFlags) flagged(err error) error {
	faults := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		faults = joined.Unwrap()
	}
	for i, e := range faults {
		var field *config.FieldError
		if !errors.As(e, &field) {
			continue
		}
		for _, name := range []string{"geo", "intel", "waf"} {
			if strings.HasPrefix(field.Key, name) {
				faults[i] = fmt.Errorf("--%s: %s", name, field.Msg)
			}
		}
	}
	return errors.Join(faults...)
}

// tell says what was left out, on standard error.
func (f *enrichFlags) tell(w io.Writer, x *enrich.Enricher) {
	for _, l := range x.Refused() {
		fmt.Fprintf(w, "warder: list %s: %d lines are no addresses and were left out, the first is line %d: it %s\n", l.Name, l.Refused, l.First, l.Why)
	}
	if n := x.Unjudged(); n > 0 {
		fmt.Fprintf(w, "warder: %d requests are too long for --waf and were not judged\n", n)
	}
}
