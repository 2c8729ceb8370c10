package detector

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/rules"
)

// Note is something that a rule's form or memory holds for a group, in words.
type Note struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// noted tells Config.Trace what a form holds for a group. due tells that time raised it, not an event.
func (s *Shard) noted(t *table, group []string, o *Origin, due bool, notes []Note) {
	s.cfg.Trace(&Judgement{Rule: t.rule, Group: append([]string(nil), group...), Time: o.Time, Notes: notes, Due: due})
}

// tracedSteps tells which step the event can be and how far the attempts have come.
func (s *Shard) tracedSteps(t *table, q *steps, done *attempt, group []string, args []Arg, o *Origin) {
	if s.cfg.Trace == nil {
		return
	}
	var can []string
	for i := range t.rule.Sequence.Steps {
		if st := &t.rule.Sequence.Steps[i]; args[st.Arg].In {
			can = append(can, st.Name)
		}
	}
	notes := []Note{{"can be", strings.Join(can, ", ")}}
	if done != nil {
		notes = append(notes, Note{"complete", fmt.Sprintf("%d events since %s%s", done.total, clockText(done.start), s.keptText(t, done.kept))})
	}
	for i := range q.attempts {
		notes = append(notes, Note{"attempt", s.attemptText(t, q, &q.attempts[i])})
	}
	for i := range q.beginnings {
		b := &q.beginnings[i]
		if q.steps[0].Count > 1 {
			notes = append(notes, Note{"begun", fmt.Sprintf("%d of %d %s%s, since %s", len(b.refs), q.steps[0].Count, q.steps[0].Name, s.keptText(t, b.kept), clockText(b.start))})
		}
	}
	s.noted(t, group, o, false, notes)
}

func (s *Shard) attemptText(t *table, q *steps, a *attempt) string {
	kept, end := s.keptText(t, a.kept), clockText(a.start+q.span)
	if q.waiting(a) {
		var absent []string
		for _, st := range q.trailing {
			absent = append(absent, st.Name)
		}
		return fmt.Sprintf("alerts at %s unless %s happens%s", end, strings.Join(absent, " or "), kept)
	}
	st := q.steps[a.step]
	return fmt.Sprintf("waits for %s (%d of %d)%s, until %s", st.Name, a.n, st.Count, kept, end)
}

// keptText names the kept values: ", id=ann".
func (s *Shard) keptText(t *table, kept []uint64) string {
	var b strings.Builder
	for i := range t.rule.Sequence.Steps {
		st := &t.rule.Sequence.Steps[i]
		for _, k := range st.Keep {
			if k.Slot < len(kept) && kept[k.Slot] != 0 {
				fmt.Fprintf(&b, ", %s.%s=%s", st.Name, k.Name, s.texts[kept[k.Slot]])
			}
		}
	}
	return b.String()
}

func (s *Shard) tracedPresence(t *table, p *presence, group []string, o *Origin) {
	if s.cfg.Trace == nil {
		return
	}
	notes := []Note{{"matches", fmt.Sprintf("%d of %d", p.n, p.need)}}
	switch {
	case p.n == 0:
		notes[0].Value = "counts anew"
	case p.n >= p.need:
		notes = append(notes, Note{"alerts at", clockText(p.next()) + " unless it matches again"})
	default:
		notes = append(notes, Note{"forgotten at", clockText(p.next()) + " unless it matches again"})
	}
	if n := len(p.ahead); n > 0 {
		notes = append(notes, Note{"set aside", fmt.Sprintf("%d further ahead than time has come", n)})
	}
	s.noted(t, group, o, false, notes)
}

// tracedValue tells of first_seen before the value is remembered.
func (s *Shard) tracedValue(t *table, k *known, group []string, hash uint64, at int64, value string, o *Origin) {
	if s.cfg.Trace == nil {
		return
	}
	form := t.rule.FirstSeen
	notes := []Note{{"value", value}, {"seen", k.seenText(hash, at, int64(form.Forget))}, {"known", strconv.Itoa(len(k.list))}}
	if left := int64(form.Learn) - (at - k.since); left > 0 {
		notes = append(notes, Note{"learns until", clockText(k.since + int64(form.Learn))})
	}
	s.noted(t, group, o, false, notes)
}

// tracedSeen tells of the seenBefore conditions before their values are remembered.
func (s *Shard) tracedSeen(t *table, k *known, group []string, args []Arg, at int64, o *Origin) {
	if s.cfg.Trace == nil {
		return
	}
	var notes []Note
	for i := range t.rule.Seen {
		x := &t.rule.Seen[i]
		name := "seenBefore(" + x.Of + ")"
		if x.Not {
			name = "!" + name
		}
		seen := k.within(saltedHash(args[i].Bits, i), at, int64(x.Within))
		notes = append(notes, Note{name, fmt.Sprintf("%t: %s was %s", seen != x.Not, s.texts[args[i].Bits], k.seenText(saltedHash(args[i].Bits, i), at, int64(x.Within)))})
	}
	s.noted(t, group, o, false, notes)
}

func (k *known) seenText(hash uint64, at, age int64) string {
	i, ok := k.find(hash)
	switch {
	case !ok:
		return "not seen before"
	case !k.within(hash, at, age):
		return "not seen for " + rules.Span(time.Duration(age))
	}
	return "seen at " + clockText(k.list[i].at)
}

func (s *Shard) tracedRare(t *table, group []string, share float64, count int64, value string, o *Origin) {
	if s.cfg.Trace == nil {
		return
	}
	form := t.rule.Rare
	s.noted(t, group, o, false, []Note{{"value", value}, {"share", fmt.Sprintf("%.4g (rare below %.4g)", share, form.Share)},
		{"peers", fmt.Sprintf("%d (at least %d)", count, form.Least)}})
}

// remember keeps a text by its hash, for who is told what is kept. Only where somebody traces, which is over few events.
func (s *Shard) remember(hash uint64, text string) {
	if s.cfg.Trace == nil {
		return
	}
	if s.texts == nil {
		s.texts = map[uint64]string{}
	}
	s.texts[hash] = cut(text, maxSampleName)
}

func clockText(ns int64) string { return timeOf(ns).Format("2006-01-02 15:04:05") }
