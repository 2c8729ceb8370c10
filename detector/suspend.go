package detector

import (
	"fmt"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/rules"
)

// SuspendedRule is the id of the alert that says that a rule was suspended. Its group names the rule: {"rule": id}.
const SuspendedRule = "warder.rule-suspended"

// health is how often one rule's expressions failed lately. Records are counted in blocks of Config.SuspendWindow, so that the
// same stream suspends a rule at the same record.
type health struct {
	block    int64 // the block of records that the counts are of
	failures int
	overruns int
	off      bool // suspended
}

// failed holds a failed evaluation against the rule, and suspends it when there are too many: it costs more than it finds.
func (s *Shard) failed(t *table, overrun bool, o *Origin, dst []*alert.Alert) []*alert.Alert {
	h := &t.health
	if h.off {
		return dst
	}
	if block := s.records / int64(s.cfg.SuspendWindow); block != h.block {
		*h = health{block: block}
	}
	if h.failures++; overrun {
		h.overruns++
	}
	if h.failures < s.cfg.SuspendFailures && h.overruns < s.cfg.SuspendOverruns {
		return dst
	}
	s.suspend(t)
	s.stats.Alerts++
	return append(dst, s.suspension(t.rule, *h, o))
}

// suspend leaves the rule out from now on, until it is loaded in another version.
func (s *Shard) suspend(t *table) {
	t.health.off = true
	s.stats.Suspended++
	s.memory.Suspend(t.rule)
}

// skip takes a match of a suspended rule: only time passes.
func (s *Shard) skip(o *Origin, dst []*alert.Alert) []*alert.Alert {
	tap, first := s.observeMatch(o)
	if first && !s.far {
		dst = s.pass(tap, o, dst)
	}
	s.stats.Skipped++
	return dst
}

// suspension is the alert to the rule's owner.
func (s *Shard) suspension(r *rules.Rule, h health, o *Origin) *alert.Alert {
	what, bound := "failed", s.cfg.SuspendFailures
	if h.overruns >= s.cfg.SuspendOverruns {
		what, bound = "passed their bound of cost", s.cfg.SuspendOverruns
	}
	owner := r.Owner
	if owner == "" {
		owner = "nobody is named as its owner"
	} else {
		owner = "owner: " + owner
	}
	at := o.Time.UTC()
	if !usable(at) {
		at = timeOf(0)
	}
	a := &alert.Alert{
		Version: alert.Version, Rule: SuspendedRule, RuleVersion: r.Version, Title: fmt.Sprintf("Rule %s is suspended", r.ID),
		Description: fmt.Sprintf("Expressions of the rule %q (%s; %s:%d) %s %d times within %d records. It detects nothing on this partition until "+
			"it is changed. `warder rules explain` shows why an expression fails; guard a header that may be missing with \"x\" in request.headers.",
			r.ID, owner, r.File, r.Line, what, bound, s.cfg.SuspendWindow),
		Severity: alert.Medium, Time: at, Window: alert.Window{Start: at, End: at}, Group: map[string]string{"rule": r.ID},
		Values: map[string]float64{"failures": float64(h.failures), "overruns": float64(h.overruns)}, Events: []string{o.ID.String()}, EventCount: 1,
		Mode: alert.Shadow, Coverage: alert.Coverage{Dropped: s.losses.since(at.UnixNano())},
	}
	if o.Sample != nil {
		a.Sample = o.Sample()
	}
	a.ID = alert.NewID(a.Rule, a.RuleVersion, a.Group, a.Window)
	return a
}

// Failed takes what failed while rules were matched with an event, before the event's matches are applied.
func (s *Shard) Failed(failures []rules.Failure, o *Origin, dst []*alert.Alert) []*alert.Alert {
	for _, f := range failures {
		if t := s.byRule[f.Rule]; t != nil {
			dst = s.failed(t, f.Overrun, o, dst)
		}
	}
	return dst
}

// Count counts n requests, for a caller who matches events himself: before Failed and Apply, the event in hand included.
func (s *Shard) Count(n uint64) { s.records += int64(n) }

// snapshotHealth writes the counts of records and of the rules whose expressions failed.
func (s *Shard) snapshotHealth(w *encoder) {
	w.int(s.records)
	n := 0
	for _, t := range s.tables {
		if t.health != (health{}) {
			n++
		}
	}
	w.uint(uint64(n))
	for _, t := range s.tables {
		h := t.health
		if h == (health{}) {
			continue
		}
		w.text(t.rule.ID)
		w.text(t.rule.Version)
		off := uint64(0)
		if h.off {
			off = 1
		}
		w.int(h.block)
		w.uint(uint64(h.failures))
		w.uint(uint64(h.overruns))
		w.uint(off)
	}
}

// restoreHealth reads what snapshotHealth wrote. A rule in another version begins anew.
func (s *Shard) restoreHealth(r *decoder) {
	s.records = r.int()
	if s.records < 0 {
		r.fail()
	}
	for range r.count(6) {
		id, version := r.text(), r.text()
		h := health{block: r.int(), failures: int(r.uint() % maxSuspend), overruns: int(r.uint() % maxSuspend), off: r.uint() == 1}
		t := s.byID[id]
		if r.err != nil || t == nil || t.rule.Version != version {
			continue
		}
		if t.health = h; h.off {
			s.suspend(t)
		}
	}
}
