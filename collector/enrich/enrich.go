// Package enrich adds to events what the tap could not know: the client's country and network, the threat-intelligence lists that it is
// on, and a web application firewall's opinion. See docs/enrichment.md.
package enrich

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/collector/waf"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/geo"
	"github.com/warder/warder/internal/intel"
)

// Enricher adds to events. It is safe for concurrent use.
type Enricher struct {
	cfg   Config
	log   *slog.Logger
	m     *metrics
	geo   *geo.DB      // nil without a database
	lists *intel.Lists // nil without a list
	waf   *waf.WAF     // nil when it is off
}

// New reads the files. What is wrong with one is a [config.FieldError].
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (_ *Enricher, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	x := &Enricher{cfg: cfg, log: log}
	var errs []error
	if len(cfg.Geo.Databases) > 0 {
		if x.geo, err = geo.Open(cfg.Geo.Databases...); err != nil {
			errs = append(errs, keyed(err))
		}
	}
	if len(cfg.Intel) > 0 {
		if x.lists, err = intel.Open(sources(cfg.Intel)...); err != nil {
			errs = append(errs, keyed(err))
		}
	}
	if cfg.WAF.Enabled {
		if x.waf, err = waf.New(cfg.WAF, log, reg); err != nil {
			errs = append(errs, config.In("waf", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if x.m, err = newMetrics(x, reg); err != nil {
		return nil, err
	}
	x.tellRefused(nil)
	return x, nil
}

// Geo returns the databases, nil when there are none.
func (x *Enricher) Geo() *geo.DB { return x.geo }

func sources(lists []IntelConfig) []intel.Source {
	out := make([]intel.Source, len(lists))
	for i, l := range lists {
		out[i] = intel.Source{Name: l.Name, Path: l.File}
	}
	return out
}

// keyed puts the keys of the configuration to the faults of files.
func keyed(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return keyedOne(err)
	}
	var errs []error
	for _, e := range joined.Unwrap() {
		errs = append(errs, keyedOne(e))
	}
	return errors.Join(errs...)
}

func keyedOne(err error) error {
	var db *geo.FileError
	if errors.As(err, &db) {
		return config.Errorf(fmt.Sprintf("geo.databases[%d]", db.Index), "%s: %v", db.Path, db.Err)
	}
	var list *intel.ListError
	if errors.As(err, &list) {
		return config.Errorf(fmt.Sprintf("intel[%d].file", list.Index), "%s: %v", list.Path, list.Err)
	}
	return err
}

// Apply adds what follows from the client's address, in about a microsecond. What the tap knew stays. The event must be normalised.
func (x *Enricher) Apply(e *event.Event) {
	a := e.Source.Address
	if e.Kind != event.Request || !a.IsValid() {
		return
	}
	if x.geo != nil {
		p := x.geo.Place(a)
		if e.Source.Country == "" {
			e.Source.Country = p.Country
		}
		if e.Source.ASN == 0 {
			e.Source.ASN = p.ASN
		}
		e.Intel.Lists = join(e.Intel.Lists, x.geo.Names(x.geo.Anonymity(a)))
	}
	if x.lists != nil {
		e.Intel.Lists = join(e.Intel.Lists, x.lists.Lookup(a))
	}
}

// join returns both lists' names, each once. Neither list is changed: they may be shared.
func join(have, more []string) []string {
	switch {
	case len(more) == 0:
		return have
	case len(have) == 0:
		return more
	}
	out := slices.Clone(have)
	for _, name := range more {
		if !slices.Contains(out, name) && len(out) < event.MaxList {
			out = append(out, name)
		}
	}
	return out
}

// Judge asks the firewall, if there is one, which takes about a millisecond.
func (x *Enricher) Judge(e *event.Event) {
	if x.waf != nil && e.Kind == event.Request {
		x.waf.Inspect(e)
	}
}

// Judges tells whether there is a firewall.
func (x *Enricher) Judges() bool { return x.waf != nil }

// JudgeEncoded asks the firewall about encoded events, within its budget: see [waf.WAF.InspectEncoded].
func (x *Enricher) JudgeEncoded(ctx context.Context, values [][]byte) {
	if x.waf != nil {
		x.waf.InspectEncoded(ctx, values)
	}
}

// Run reads files that change again, until ctx ends. One that cannot be read leaves what was read before in use.
func (x *Enricher) Run(ctx context.Context) {
	if x.geo == nil && x.lists == nil {
		<-ctx.Done()
		return
	}
	t := time.NewTicker(x.cfg.Refresh.Std())
	defer t.Stop()
	for {
		select {
		case <-t.C:
			x.refresh()
		case <-ctx.Done():
			return
		}
	}
}

func (x *Enricher) refresh() {
	if x.geo != nil {
		files, err := x.geo.Refresh()
		x.tell("geo", files, err)
	}
	if x.lists != nil {
		names, err := x.lists.Refresh()
		x.tell("intel", names, err)
		if len(names) > 0 {
			x.tellRefused(names)
		}
	}
}

// tell logs and counts what a refresh did.
func (x *Enricher) tell(kind string, changed []string, err error) {
	if len(changed) > 0 {
		x.m.reloads.WithLabelValues(kind, "ok").Add(float64(len(changed)))
		x.log.Info("enrichment files were read again", "kind", kind, "changed", changed)
	}
	if err != nil {
		x.m.reloads.WithLabelValues(kind, "failed").Inc()
		x.log.Error("an enrichment file changed and cannot be read; what was read before stays in use", "kind", kind, "error", err)
	}
}

// RefusedLines are the lines of a list that are no addresses.
type RefusedLines struct {
	Name string
	intel.Report
}

// Refused returns the lists that have lines which are no addresses, by name.
func (x *Enricher) Refused() (out []RefusedLines) {
	if x.lists == nil {
		return nil
	}
	reports := x.lists.Reports()
	for _, name := range slices.Sorted(maps.Keys(reports)) {
		if reports[name].Refused > 0 {
			out = append(out, RefusedLines{name, reports[name]})
		}
	}
	return out
}

// Unjudged counts the requests that were too long for the firewall, or on which it failed.
func (x *Enricher) Unjudged() uint64 {
	if x.waf == nil {
		return 0
	}
	return x.waf.Unjudged()
}

// tellRefused logs lists with lines that are no addresses: those of the names, or with nil all.
func (x *Enricher) tellRefused(names []string) {
	for _, l := range x.Refused() {
		if names == nil || slices.Contains(names, l.Name) {
			x.log.Warn("a list has lines that are no addresses; they were left out", "list", l.Name, "entries", l.Entries, "refused", l.Refused, "line", l.First, "why", l.Why)
		}
	}
}
