package detector

import (
	"encoding/binary"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/rules"
)

// detail is what a form needs of an event beside the arguments: texts that an alert shows, and what its state is kept by.
type detail struct {
	value string   // of first_seen and rare
	peers []string // of rare
}

// unwindowed has the methods of a span that only windows need.
type unwindowed struct{}

func (unwindowed) near(int64) bool                        { return true }
func (unwindowed) holds(int64) bool                       { return true }
func (unwindowed) add([]uint64, []Arg)                    {}
func (unwindowed) values(dst []rules.Value) []rules.Value { return dst }
func (unwindowed) evidence() (int64, int64, []ref)        { return 0, 0, nil }

// formArgs are the form's arguments among all.
func (t *table) formArgs(args []Arg) []Arg { return args[len(args)-t.extra:] }

// trusted tells whether a time is near the tap's clock.
func (t *table) trusted(at int64, tap *tapClock) bool { return near(at, tap.now, t.shard.maxJump) }

// formSize is for how long a rule's form remembers a group that it heard nothing more of.
func formSize(r *rules.Rule) int64 {
	switch r.Form {
	case rules.FormSequence:
		return int64(r.Sequence.Span)
	case rules.FormAbsence:
		return int64(r.Absence.Span)
	case rules.FormFirstSeen:
		return int64(r.FirstSeen.Forget)
	case rules.FormRare:
		return int64(r.Rare.Span)
	}
	return int64(r.Window.Size)
}

// formSuppress is the silence after an alert when the rule names none. An absence and a first sight are said once by nature.
func formSuppress(r *rules.Rule) int64 {
	switch r.Form {
	case rules.FormAbsence, rules.FormFirstSeen:
		return 0
	}
	return formSize(r)
}

// allArgs converts what rules.Match returned: the aggregates' arguments, and the form's.
func (t *table) allArgs(dst []Arg, in []rules.Arg, h *hashes) []Arg {
	if t.extra == 0 {
		return t.args(dst, in, h)
	}
	cut := max(0, len(in)-t.extra)
	dst = t.args(dst, in[:cut], h)
	for _, a := range in[cut:] {
		x := Arg{In: a.In}
		if a.In && a.Text != "" {
			x.Bits = h.of(a.Text)
			t.shard.remember(x.Bits, a.Text)
		}
		dst = append(dst, x)
	}
	return dst
}

// detailOf takes the texts that the form needs out of a match.
func (t *table) detailOf(m *rules.Match) detail {
	switch t.rule.Form {
	case rules.FormFirstSeen, rules.FormRare:
	default:
		return detail{}
	}
	form := m.Args[len(m.Args)-t.extra:]
	d := detail{value: cut(form[0].Text, maxSampleName)}
	if t.rule.Form == rules.FormRare {
		for i := range t.rule.Rare.Peers {
			d.peers = append(d.peers, form[1+i].Text)
		}
		d.peers = boundGroup(nil, d.peers)
	}
	return d
}

// complete tells whether the event has all that the form's state is kept by; one that lacks the value does not match.
func (t *table) complete(args []Arg) bool {
	form := t.formArgs(args)
	switch t.rule.Form {
	case rules.FormFirstSeen, rules.FormRare:
		for _, a := range form[:t.extra-len(t.rule.Seen)] {
			if !a.In {
				return false
			}
		}
	}
	return true
}

// form judges one match of a rule that does not count in a window.
func (s *Shard) form(t *table, tap *tapClock, group []string, args []Arg, d detail, o *Origin, dst []*alert.Alert) []*alert.Alert {
	if !t.complete(args) {
		return dst
	}
	switch t.rule.Form {
	case rules.FormSequence:
		return s.sequence(t, tap, group, args, o, dst)
	case rules.FormAbsence:
		return s.absence(t, tap, group, o, dst)
	case rules.FormFirstSeen:
		return s.firstSeen(t, tap, group, args, d, o, dst)
	}
	return s.rare(t, tap, group, args, d, o, dst)
}

// say raises an alert of the entity unless it is silent.
func (s *Shard) say(t *table, n *entity, group []string, o *Origin, f finding, dst []*alert.Alert) []*alert.Alert {
	if n.silent(f.end, t.suppress) {
		s.stats.Suppressed++
		return dst
	}
	n.alertAt(f.end)
	s.stats.Alerts++
	return append(dst, s.alert(t, group, o, f))
}

// passedBy is the time by which a group's state is judged to have passed: the tap's, or for matches that come from many
// partitions, the one that all of them have reached.
func (s *Shard) passedBy(tap *tapClock) int64 {
	if s.far {
		return tap.horizon()
	}
	return tap.now
}

// splitKey undoes groupKey.
func splitKey(key string, n int) []string {
	if n == 1 {
		return []string{key}
	}
	var out []string
	for b := []byte(key); len(out) < n; {
		size, used := binary.Uvarint(b)
		if used <= 0 || size > uint64(len(b)-used) {
			return append(out, make([]string, n-len(out))...) // no key of ours
		}
		out = append(out, string(b[used:used+int(size)]))
		b = b[used+int(size):]
	}
	return out
}

// beside makes what the rule needs beside its own table.
func (t *table) beside() {
	r := t.rule
	if r.Form == rules.FormSequence {
		t.plan = newPlan(r.Sequence)
	}
	aux := func(name string, size int64) *table {
		a := &table{layout: newLayout(nil, size, 0), name: r.ID + name, rule: r, shard: t.shard, linger: size, suppress: t.suppress}
		a.grouping, a.place = t.shard.grouping(r.GroupBy)
		return a
	}
	if len(r.Seen) > 0 {
		longest := int64(0)
		for i := range r.Seen {
			longest = max(longest, int64(r.Seen[i].Within))
		}
		t.seen = aux("#seen", longest)
		t.seen.memoryOnly = true
	}
	if r.Form == rules.FormRare {
		t.said = aux("#said", 0)
	}
}

// all is the table and those beside it.
func (t *table) all() []*table {
	out := []*table{t}
	for _, a := range []*table{t.seen, t.said} {
		if a != nil {
			out = append(out, a)
		}
	}
	return out
}

// peers is how many values name the peers of a match.
func (t *table) peers() int {
	if t.rule.Form == rules.FormRare {
		return len(t.rule.Rare.Peers)
	}
	return 0
}
