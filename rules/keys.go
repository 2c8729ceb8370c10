package rules

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/cel-go/common/operators"

	"github.com/warder/warder/internal/event"
)

// keyKind says what a key asks of an event.
type keyKind uint8

const (
	keyPattern keyKind = iota // the literals of a pattern occur in the text
	keyEqual                  // the text is this one
	keyPrefix                 // it begins with it
	keySuffix                 // it ends with it
	keyFilled                 // it is not empty
	keyEntry                  // the table has the entry
	keyMember                 // the list has the text
	keyNumber                 // the number is in a range
)

// key is something that an event has or has not, and that can be looked up.
type key struct {
	kind   keyKind
	fold   bool   // ASCII letters of the text without regard to case
	slot   int    // of the text
	id     int    // of the pattern
	field  string // the table, the list or the number
	text   string
	lo, hi int64 // the range, both inclusive
}

// demand is a set of keys of which an event must have one.
type demand struct {
	keys  []key
	share float64 // an estimate of the events that have one
}

// Bounds of demands.
const (
	maxKeys    = 4096 // of one demand; with more there is none
	maxDemands = 2    // that are kept of one expression
	// enough is the share of events at which a second demand is no longer worth a look-up.
	enough = 1.0 / 1024
	// useless is the share above which a demand tells nothing.
	useless = 0.95
)

// one makes demands of a single key.
func one(k key, share float64) []demand {
	if share > useless {
		return nil
	}
	return []demand{{[]key{k}, share}}
}

// allOf joins the demands of two expressions that must both hold. The best are kept.
func allOf(a, b []demand) []demand {
	out := slices.Concat(a, b)
	slices.SortStableFunc(out, func(a, b demand) int { return cmp.Compare(a.share, b.share) })
	out = slices.CompactFunc(out, func(a, b demand) bool { return slices.Equal(a.keys, b.keys) })
	return out[:min(len(out), maxDemands)]
}

// anyOf joins the demands of two expressions of which one must hold; without one on each side there is none.
func anyOf(a, b []demand) []demand {
	var out []demand
	for i := range min(len(a), len(b)) {
		d := demand{share: a[i].share + b[i].share}
		seen := map[key]bool{}
		for _, k := range slices.Concat(a[i].keys, b[i].keys) {
			if !seen[k] {
				seen[k] = true
				d.keys = append(d.keys, k)
			}
		}
		if len(d.keys) > maxKeys || d.share > useless && i > 0 {
			break
		}
		out = append(out, d)
	}
	return out
}

// chosen are the demands of a filter that the index uses: the best one, and another one where that is no search in a text and
// still worth it.
func chosen(must []demand) []demand {
	if len(must) < 2 {
		return must
	}
	first, second := must[0], must[1]
	searches := slices.ContainsFunc(second.keys, func(k key) bool { return k.kind == keyPattern })
	if first.share < enough || second.share > 0.5 || searches {
		return must[:1]
	}
	return must
}

// textShare estimates how many events have one of the literals in the text.
func textShare(t textKey, literals []string) float64 {
	places := 60.0
	switch t.field {
	case "request.path":
		places = 30
	case "request.query":
		places = 15 // most requests have none
	case "request.useragent":
		places = 90
	}
	if t.entry != "" {
		places = 10
	}
	return min(1, habitsOf(t).frequency(literals)*places)
}

// equalShare estimates how many events have this text.
func equalShare(t textKey, s string) float64 {
	common := map[string]map[string]float64{
		"request.method":   {"GET": 0.85, "POST": 0.1, "HEAD": 0.02},
		"request.scheme":   {"https": 0.9, "http": 0.3},
		"request.protocol": {"HTTP/1.1": 0.7, "HTTP/2.0": 0.5, "HTTP/2": 0.5, "HTTP/1.0": 0.05},
		"auth.outcome":     {"success": 0.3, "anonymous": 0.3, "failure": 0.02, "": 0.8},
		"request.path":     {"/": 0.1},
	}[t.field]
	for _, form := range []string{s, strings.ToUpper(s), strings.ToLower(s)} { // it may be compared without regard to case
		if p, ok := common[form]; ok {
			return p
		}
	}
	switch {
	case s == "" && (t.field == "request.useragent" || t.field == "request.host" || t.field == "request.path"):
		return 0.02
	case s == "" && strings.HasPrefix(t.field, "principal."):
		return 0.8
	case s == "":
		return 0.5
	case common != nil:
		return 0.005
	}
	switch t.field {
	case "request.useragent", "request.referer", "request.query", "principal.id", "source.address", "api.route":
		return 0.001
	}
	return 0.02
}

// affixShare estimates how many events have a text that begins, or ends, with s.
func affixShare(t textKey, s string) float64 {
	if s == "" || s == "/" && t.field != "request.query" || s == "http" || s == "Mozilla" || s == "mozilla" {
		return 1
	}
	return max(equalShare(t, s), 0.4*math.Pow(0.6, float64(len(s))))
}

// numberShare estimates how many events have the number in the range.
func numberShare(field string, lo, hi int64) float64 {
	if field != "response.code" {
		switch {
		case lo == hi && lo != 0:
			return 0.02
		case lo <= 0 && hi >= 0:
			return 0.9
		}
		return 0.3
	}
	share := 0.0
	for _, c := range []struct {
		code  int64
		share float64
	}{{0, 0.01}, {101, 0.001}, {200, 0.8}, {201, 0.01}, {204, 0.01}, {206, 0.01}, {301, 0.03}, {302, 0.03}, {304, 0.04}, {400, 0.005}, {401, 0.01},
		{403, 0.01}, {404, 0.04}, {405, 0.002}, {410, 0.001}, {422, 0.002}, {429, 0.002}, {500, 0.005}, {502, 0.002}, {503, 0.002}, {504, 0.001}} {
		if lo <= c.code && c.code <= hi {
			share += c.share
		}
	}
	return max(share, 0.001)
}

// demands returns the demand of a test of a text that asks for equality, a beginning or an ending; none where the tables cannot
// tell: words with other characters than ASCII in texts that are taken in lower case, and texts of entries that need not be there.
func (t textRef) demands(kind keyKind, s string) []demand {
	if t.fold && (!isASCII(s) || s != strings.ToLower(s)) {
		return nil
	}
	if s == "" && (kind != keyEqual || t.key.entry != "") {
		return nil
	}
	if s == "" {
		t.fold = false
	}
	share := equalShare(t.key, s)
	if kind != keyEqual {
		share = affixShare(t.key, s)
	}
	return one(key{kind: kind, fold: t.fold, slot: t.slot, text: s}, share)
}

// filled is the demand that the text is not empty.
func (t textRef) filled() []demand {
	if t.key.field == "request.path" || t.key.field == "request.uri" || t.key.field == "source.address" {
		return nil
	}
	return one(key{kind: keyFilled, slot: t.slot}, 0.5)
}

// ranged is the demand that a number compares with a constant; none for operators that say little.
func ranged(field, op string, n int64) []demand {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	switch op {
	case operators.Equals:
		lo, hi = n, n
	case operators.Less:
		if n == lo {
			return nil
		}
		hi = n - 1
	case operators.LessEquals:
		hi = n
	case operators.Greater:
		if n == hi {
			return nil
		}
		lo = n + 1
	case operators.GreaterEquals:
		lo = n
	default:
		return nil
	}
	if field == "" {
		return nil
	}
	return one(key{kind: keyNumber, field: field, lo: lo, hi: hi}, numberShare(field, lo, hi))
}

// String names the key for people.
func (k key) String(x *index) string {
	switch k.kind {
	case keyPattern:
		return fmt.Sprintf("%s contains %q", x.texts[k.slot].key, x.patterns[k.id].telling)
	case keyEntry:
		return fmt.Sprintf("%q in %s", k.text, k.field)
	case keyMember:
		return fmt.Sprintf("%q in %s", k.text, k.field)
	case keyNumber:
		return k.number()
	case keyFilled:
		return fmt.Sprintf("%s is not empty", x.texts[k.slot].key)
	}
	name := x.texts[k.slot].key.String()
	if k.fold {
		name += ".lowerAscii()"
	}
	return fmt.Sprintf("%s %s %q", name, map[keyKind]string{keyEqual: "==", keyPrefix: "starts with", keySuffix: "ends with"}[k.kind], k.text)
}

func (k key) number() string {
	switch {
	case k.lo == k.hi:
		return fmt.Sprintf("%s == %d", k.field, k.lo)
	case k.lo == math.MinInt64:
		return fmt.Sprintf("%s <= %d", k.field, k.hi)
	case k.hi == math.MaxInt64:
		return fmt.Sprintf("%s >= %d", k.field, k.lo)
	}
	return fmt.Sprintf("%s in %d to %d", k.field, k.lo, k.hi)
}

// String names the text as expressions do.
func (k textKey) String() string {
	s := k.field
	if k.entry != "" {
		s = fmt.Sprintf("%s[%q]", s, k.entry)
	}
	if k.decoded {
		s = "decode(" + s + ")"
	}
	return s
}

// Keys returns what the index asks of an event before it looks at the rule's filter, such as
//
//	request.path contains "wp-admin"
//
// An event must have one of them; of those that begin with "and ", where there are any, it must have one besides. Without keys the
// filter is evaluated for every event.
func (r *Rule) Keys() []string {
	var out []string
	r.eachKey(func(_ key, name string) { out = append(out, name) })
	return slices.Compact(out)
}

// eachKey calls f with the rule's keys and their names; a pattern's key has one name for each of its literals.
func (r *Rule) eachKey(f func(k key, name string)) {
	if r.unit == nil {
		return
	}
	x := r.set.index
	for rank, d := range r.unit.must {
		and := ""
		if rank > 0 {
			and = "and "
		}
		for _, k := range d.keys {
			if k.kind != keyPattern {
				f(k, and+k.String(x))
				continue
			}
			for _, l := range x.patterns[k.id].telling {
				k.text = l
				f(k, and+fmt.Sprintf("%s contains %q", x.texts[k.slot].key, l))
			}
		}
	}
}

// LetIn returns those of the rule's keys that the event has; the rule must be the Set's. The index lets the event in to the rule's
// filter when there is one of each kind that [Rule.Keys] lists, or no keys at all. Safe for concurrent use.
func (s *Set) LetIn(r *Rule, e *event.Event) []string {
	if r.set != s || e.Kind != event.Request {
		return nil
	}
	in := s.pool.Get().(*input)
	in.begin(e)
	var out []string
	r.eachKey(func(k key, name string) {
		if k.held(in) {
			out = append(out, name)
		}
	})
	in.clear()
	s.pool.Put(in)
	return slices.Compact(out)
}

// held tells whether the event has the key, one by one.
func (k key) held(in *input) bool {
	x := in.set.index
	switch k.kind {
	case keyPattern:
		return in.possible(x.patterns[k.id]) && strings.Contains(view(appendFolded(nil, in.slot(k.slot), new([2]uint64))), k.text)
	case keyEntry:
		_, ok := x.fields[k.field].tab(in.ev)[k.text]
		return ok
	case keyMember:
		return slices.Contains(x.fields[k.field].list(in.ev), k.text)
	case keyNumber:
		n := x.fields[k.field].number(in.ev)
		return k.lo <= n && n <= k.hi
	}
	text := in.slot(k.slot)
	if k.fold {
		text = in.lowered(k.slot)
	}
	switch k.kind {
	case keyEqual:
		return text == k.text
	case keyPrefix:
		return strings.HasPrefix(text, k.text)
	case keySuffix:
		return strings.HasSuffix(text, k.text)
	}
	return text != ""
}
