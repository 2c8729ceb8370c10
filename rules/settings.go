package rules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/warder/warder/internal/config"
)

// Setting is a span or a number of a rule's form.
type Setting struct {
	Key   string // as in the rule's YAML; a step goes by its name: sequence.failures.count
	Value string // as it is written there: 10m, 5, 0.05
	// Fewer and More are other values worth trying, within the loader's bounds; empty where there is none.
	Fewer, More string
}

// setting is where a form keeps one.
type setting struct {
	key         string
	span        *time.Duration
	number      *int
	share       *float64
	least, most float64 // nanoseconds for a span
}

// Settings lists the spans and numbers of the rule's form, and a session's gap. A window's size is in Rule.Window.
func (r *Rule) Settings() []Setting {
	var out []Setting
	for _, s := range r.settings() {
		x := Setting{Key: s.key}
		switch {
		case s.span != nil:
			x.Value = Span(*s.span)
			x.Fewer, x.More = s.within(float64(*s.span/2)), s.within(float64(*s.span*2))
		case s.number != nil:
			x.Value = strconv.Itoa(*s.number)
			x.Fewer, x.More = s.within(float64(*s.number-1)), s.within(float64(*s.number+1))
		default:
			x.Value = strconv.FormatFloat(*s.share, 'g', -1, 64)
			x.Fewer, x.More = s.within(*s.share/2), s.within(*s.share*2)
		}
		out = append(out, x)
	}
	return out
}

// within is the value as it is written, "" when it is out of bounds.
func (s setting) within(v float64) string {
	switch {
	case v < s.least || v > s.most || s.share != nil && v >= s.most:
		return ""
	case s.span != nil:
		return Span(time.Duration(v))
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// settings says where the rule's form keeps them, and within which bounds.
func (r *Rule) settings() []setting {
	var out []setting
	span := func(key string, at *time.Duration, least, most time.Duration) {
		out = append(out, setting{key: key, span: at, least: float64(least), most: float64(most)})
	}
	number := func(key string, at *int, least, most int) {
		out = append(out, setting{key: key, number: at, least: float64(least), most: float64(most)})
	}
	if r.Window.Type == Session {
		span("window.gap", &r.Window.Gap, MinGap, r.Window.Size)
	}
	switch r.Form {
	case FormSequence:
		span("sequence.span", &r.Sequence.Span, time.Second, MaxSpan)
		for i := range r.Sequence.Steps {
			if s := &r.Sequence.Steps[i]; !s.Absent {
				number("sequence."+s.Name+".count", &s.Count, 1, MaxCount)
			}
		}
	case FormAbsence:
		span("absence.span", &r.Absence.Span, time.Second, MaxSpan)
		number("absence.after", &r.Absence.After, 1, MaxAfter)
	case FormFirstSeen:
		span("first_seen.learn", &r.FirstSeen.Learn, 0, r.FirstSeen.Forget-1)
		span("first_seen.forget", &r.FirstSeen.Forget, max(time.Second, r.FirstSeen.Learn+1), MaxRemember)
	case FormRare:
		span("rare.span", &r.Rare.Span, time.Minute, MaxSpan)
		out = append(out, setting{key: "rare.share", share: &r.Rare.Share, least: 1e-9, most: 1})
		number("rare.least", &r.Rare.Least, 2, MaxAfter)
	}
	return out
}

// adjust changes one of the rule's settings, within the bounds that the loader keeps.
func (r *Rule) adjust(key, value string) error {
	all := r.settings()
	i := slices.IndexFunc(all, func(s setting) bool { return s.key == key })
	if i < 0 {
		return errors.New("the rule has no " + key)
	}
	s := &all[i]
	var n float64
	switch {
	case s.span != nil:
		d, err := config.ParseDuration(value)
		if err != nil {
			return err
		}
		if n = float64(d.Std()); s.within(n) != "" {
			*s.span = d.Std()
		}
	default:
		var err error
		if n, err = strconv.ParseFloat(value, 64); err != nil {
			return err
		}
		switch {
		case s.within(n) == "":
		case s.number != nil:
			*s.number = int(n)
		default:
			*s.share = n
		}
	}
	if s.within(n) == "" {
		return fmt.Errorf("%s: %s is out of bounds", key, value)
	}
	return nil
}

// varyForm makes the changes of the variation that are not about windows and groups.
func (r *Rule) varyForm(v Variation) error {
	var err error
	switch {
	case v.Part != "":
		err = r.replace(v.Part, v.Text)
	case v.Key != "":
		if r.Absence != nil { // shared with the rule that is copied
			c := *r.Absence
			r.Absence = &c
		}
		err = r.adjust(v.Key, v.Value)
	case v.Step != "":
		err = r.resequence("", "", v.Step)
	}
	if err != nil {
		return err
	}
	if n := v.Unexcepted; n > 0 && n <= len(r.Except) {
		r.Except = slices.Delete(slices.Clone(r.Except), n-1, n)
	}
	if r.Rare != nil && v.Ungroup != "" && len(r.GroupBy) == 1 {
		return errors.New("rare needs group_by")
	}
	if r.Rare != nil && v.Peer != "" {
		if i := slices.Index(r.Rare.Peers, v.Peer); i >= 0 {
			r.Rare.Peers = slices.Delete(slices.Clone(r.Rare.Peers), i, i+1)
			r.Rare.peers = slices.Delete(slices.Clone(r.Rare.peers), i, i+1)
			r.formArgs--
		}
	}
	return nil
}

// textScalar is a scalar that is set and stands in no file.
func textScalar(s string) scalar {
	return scalar{Value: s, node: &ast.NullNode{BaseNode: &ast.BaseNode{}}}
}

// filterText is the filter as it was written.
func (r *Rule) filterText() string {
	if len(r.Seen) == 0 {
		return r.filter.text
	}
	p := &parts{rule: r, written: r.rereadAll()}
	text, _ := p.narrowed(p.written)
	return text
}

// refilter reads another filter, with its calls of seenBefore.
func (r *Rule) refilter(text string) error {
	r.Seen = nil
	b := &builder{env: r.env, raw: &ruleYAML{ID: textScalar(r.ID), Filter: textScalar(text)}, rule: r}
	b.eventFilter()
	if r.Form == FormRare && len(r.Seen) > 0 {
		return errors.New("rare and seenBefore() remember by different keys")
	}
	return errors.Join(b.errs...)
}

// resequence reads the sequence again, with one of its expressions replaced and without one of its steps, if it is named.
func (r *Rule) resequence(part, text, without string) error {
	if r.Form != FormSequence {
		return errors.New("the rule has no " + part)
	}
	raw := &sequenceYAML{Span: textScalar(Span(r.Sequence.Span))}
	found := part == ""
	instead := func(name, old string) scalar {
		if name == part {
			found, old = true, text
		}
		return textScalar(old)
	}
	for i := range r.Sequence.Steps {
		s := &r.Sequence.Steps[i]
		if s.Name == without {
			continue
		}
		y := stepYAML{Name: textScalar(s.Name), Filter: instead("sequence."+s.Name+".filter", s.Filter)}
		if s.Absent {
			y.Absent = textScalar("true")
		} else {
			y.Count = textScalar(strconv.Itoa(s.Count))
		}
		for _, k := range s.Keep {
			if y.Keep == nil {
				y.Keep = map[string]scalar{}
			}
			y.Keep[k.Name] = instead("sequence."+s.Name+".keep."+k.Name, k.Of)
		}
		raw.Steps = append(raw.Steps, y)
	}
	if !found {
		return errors.New("the rule has no " + part)
	}
	r.formArgs = 0
	b := &builder{env: r.env, raw: &ruleYAML{ID: textScalar(r.ID), Sequence: raw}, rule: r}
	b.sequence()
	return errors.Join(b.errs...)
}

// exceptPart reads "except[0].when".
func exceptPart(part string, n *int) bool {
	inner, ok := strings.CutPrefix(part, "except[")
	if ok {
		inner, ok = strings.CutSuffix(inner, "].when")
	}
	var err error
	*n, err = strconv.Atoi(inner)
	return ok && err == nil && *n >= 0
}
