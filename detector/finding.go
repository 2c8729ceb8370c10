package detector

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"time"
	"unicode/utf8"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// Limits of what an alert shows, in bytes; longer text is cut at a rune border.
const (
	maxSampleText = 1024 // path, query
	maxSampleName = 256  // the other texts
	maxGroupValue = 512
)

// finding is a window whose condition holds.
type finding struct {
	start, end int64
	count      int64
	refs       []ref
	values     []rules.Value
	named      map[string]float64 // values of forms that have no aggregates
	texts      map[string]string
}

// alert writes the finding down. Nothing in it depends on anything but the stream and the rule.
func (s *Shard) alert(t *table, group []string, o *Origin, f finding) *alert.Alert {
	r := t.rule
	a := &alert.Alert{
		Version: alert.Version, Rule: r.ID, RuleVersion: r.Version, Title: r.Title, Description: r.Description,
		Severity: r.Severity, Tags: r.Tags, Time: o.Time.UTC(),
		Window: alert.Window{Start: timeOf(f.start), End: timeOf(f.end)},
		Group:  make(map[string]string, len(group)), Values: make(map[string]float64, len(f.values)),
		Events: make([]string, 0, len(f.refs)), EventCount: f.count,
		Mode: r.Mode, Respond: r.Respond, Coverage: alert.Coverage{Dropped: s.losses.since(f.start)},
	}
	if r.Mode == alert.Canary {
		a.Canary = r.Canary
	}
	for i, name := range r.GroupBy {
		a.Group[name] = group[i]
	}
	for i, v := range f.values {
		names := r.Aggregates[i].Names()
		if len(names) == 1 {
			a.Values[names[0]] = round(v.Number)
			continue
		}
		if a.Texts == nil {
			a.Texts = map[string]string{}
		}
		a.Texts[names[0]], a.Values[names[1]], a.Values[names[2]] = v.Text, round(v.Number), round(v.Share)
	}
	for k, v := range f.named {
		a.Values[k] = round(v)
	}
	if f.texts != nil {
		a.Texts = f.texts
	}
	for _, x := range f.refs {
		a.Events = append(a.Events, x.eventID().String())
	}
	if o.Sample != nil {
		a.Sample = o.Sample()
	}
	a.ID = alert.NewID(a.Rule, a.RuleVersion, a.Group, a.Window)
	return a
}

// round cuts a value to millionths, as sums are kept. What JSON cannot write, which only a damaged record can bring in, is 0.
func round(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	if math.Abs(v) >= 1e9 {
		return math.Round(v)
	}
	return math.Round(v*1e6) / 1e6
}

func timeOf(ns int64) time.Time { return time.Unix(0, ns).UTC() }

func refOf(id event.ID, at int64) ref {
	w, _ := new(layout).entry(nil, at, id, nil)
	return ref{at, w[wordID], w[wordID2]}
}

func (r ref) eventID() event.ID { return entryID([]uint64{uint64(r.time), r.id, r.id2, 0}) }

// NewSample returns the bounded picture of a request that an alert shows to people.
func NewSample(e *event.Event) *alert.Sample {
	s := &alert.Sample{
		Event: e.ID.String(), Code: e.Response.Code,
		Method: cut(e.Request.Method, maxSampleName), Host: cut(e.Request.Host, maxSampleName),
		Path: cut(e.Request.Path, maxSampleText), Query: cut(e.Request.Query, maxSampleText),
		UserAgent: cut(e.Request.UserAgent, maxSampleName), Principal: cut(e.Principal.ID, maxSampleName),
		PrincipalType: cut(e.Principal.Type, maxSampleName), Fingerprint: cut(e.TLS.Fingerprint, maxSampleName),
	}
	if e.Source.Address.IsValid() {
		s.Address = e.Source.Address.Unmap().String()
	}
	return s
}

// cut shortens text at a rune border.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// boundGroup copies a group's values, each within its limit. A longer one keeps its beginning and ends in a hash of all of it, so
// that different values stay different groups.
func boundGroup(dst, group []string) []string {
	for _, v := range group {
		dst = append(dst, bounded(v, maxGroupValue))
	}
	return dst
}

func bounded(v string, limit int) string {
	if len(v) <= limit {
		return v
	}
	h := sha256.Sum256([]byte(v))
	return cut(v, limit-17) + "#" + hex.EncodeToString(h[:8])
}
