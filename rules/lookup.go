package rules

import (
	"slices"

	"github.com/warder/warder/internal/event"
)

// posts are the filters behind a key, by number: those that it is a key of the first demand of, and of the second.
type posts struct{ first, second sparse }

func (p *posts) add(unit int, second bool) {
	if second {
		p.second = p.second.with(unit)
	} else {
		p.first = p.first.with(unit)
	}
}

// lookup holds the tables of keys.
type lookup struct {
	texts   []*textKeys   // of text fields
	tables  []*tableKeys  // of fields with entries
	lists   []*listKeys   // of list fields
	numbers []*numberKeys // of number fields
}

// textKeys are the keys of one text.
type textKeys struct {
	slot     int
	equal    map[string]*posts
	empty    *posts            // equal[""]; most texts of most events are empty
	equalLow map[string]*posts // for texts in lower case
	longest  int               // word in equalLow
	affixes  []*radix          // of beginnings and endings, in either case
	filled   *posts
	searched bool // patterns on the text are keys
}

// tableKeys are the keys of a field with entries, by the entry's name.
type tableKeys struct {
	get     func(*event.Event) map[string]string
	name    string
	entries map[string]*entryKeys
}

type entryKeys struct {
	there *posts
	texts []*textKeys
}

// listKeys are the keys of a list field.
type listKeys struct {
	get   func(*event.Event) []string
	name  string
	texts map[string]*posts
}

// add enters a key of a filter.
func (l *lookup) add(x *index, k key, unit int, second bool) {
	switch k.kind {
	case keyPattern:
		p := x.patterns[k.id]
		if p.posts == nil {
			p.posts = new(posts)
		}
		p.posts.add(unit, second)
		l.text(x, k.slot).searched = true
	case keyEntry:
		e := l.table(x, k.field).entry(k.text)
		if e.there == nil {
			e.there = new(posts)
		}
		e.there.add(unit, second)
	case keyMember:
		at(l.list(x, k.field).texts, k.text).add(unit, second)
	case keyNumber:
		l.number(x, k.field).add(k, unit, second)
	default:
		l.text(x, k.slot).add(k, unit, second)
	}
}

// at returns the posts under a key, new ones when there are none.
func at[K comparable](m map[K]*posts, k K) *posts {
	p := m[k]
	if p == nil {
		p = new(posts)
		m[k] = p
	}
	return p
}

// text returns the keys of the slot's text.
func (l *lookup) text(x *index, slot int) *textKeys {
	src := x.sources[x.texts[slot].source]
	list := &l.texts
	if src.entry != "" {
		list = &l.table(x, src.field.name).entry(src.entry).texts
	}
	i := slices.IndexFunc(*list, func(t *textKeys) bool { return t.slot == slot })
	if i < 0 {
		i = len(*list)
		*list = append(*list, &textKeys{slot: slot, equal: map[string]*posts{}, equalLow: map[string]*posts{}})
	}
	return (*list)[i]
}

func (l *lookup) table(x *index, name string) *tableKeys {
	i := slices.IndexFunc(l.tables, func(t *tableKeys) bool { return t.name == name })
	if i < 0 {
		i = len(l.tables)
		l.tables = append(l.tables, &tableKeys{name: name, get: x.fields[name].tab, entries: map[string]*entryKeys{}})
	}
	return l.tables[i]
}

func (t *tableKeys) entry(name string) *entryKeys {
	e := t.entries[name]
	if e == nil {
		e = new(entryKeys)
		t.entries[name] = e
	}
	return e
}

func (l *lookup) list(x *index, name string) *listKeys {
	i := slices.IndexFunc(l.lists, func(t *listKeys) bool { return t.name == name })
	if i < 0 {
		i = len(l.lists)
		l.lists = append(l.lists, &listKeys{name: name, get: x.fields[name].list, texts: map[string]*posts{}})
	}
	return l.lists[i]
}

func (l *lookup) number(x *index, name string) *numberKeys {
	i := slices.IndexFunc(l.numbers, func(t *numberKeys) bool { return t.name == name })
	if i < 0 {
		i = len(l.numbers)
		l.numbers = append(l.numbers, &numberKeys{name: name, get: x.fields[name].number, equal: map[int64]*posts{}})
	}
	return l.numbers[i]
}

func (l *lookup) build() {
	for _, n := range l.numbers {
		n.build()
	}
}

func (t *textKeys) add(k key, unit int, second bool) {
	switch k.kind {
	case keyEqual:
		if k.fold {
			at(t.equalLow, k.text).add(unit, second)
			t.longest = max(t.longest, len(k.text))
		} else {
			at(t.equal, k.text).add(unit, second)
			t.empty = t.equal[""]
		}
	case keyFilled:
		if t.filled == nil {
			t.filled = new(posts)
		}
		t.filled.add(unit, second)
	default:
		t.tree(k.kind == keySuffix, k.fold).add(k.text).add(unit, second)
	}
}

func (t *textKeys) tree(back, fold bool) *radix {
	for _, r := range t.affixes {
		if r.back == back && r.fold == fold {
			return r
		}
	}
	t.affixes = append(t.affixes, &radix{back: back, fold: fold})
	return t.affixes[len(t.affixes)-1]
}

// post marks the filters behind a key that the event has.
func (in *input) post(p *posts) {
	in.firsts.or(p.first)
	in.seconds.or(p.second)
}

// candidates marks the filters behind all keys that the event has.
func (l *lookup) candidates(in *input) {
	for _, n := range l.numbers {
		n.look(in)
	}
	for _, t := range l.lists {
		for _, v := range t.get(in.ev) {
			if p := t.texts[v]; p != nil {
				in.post(p)
			}
		}
	}
	for _, t := range l.tables {
		t.look(in)
	}
	for _, t := range l.texts {
		t.look(in)
	}
}

// look goes through the event's entries or the rules', whichever are fewer.
func (t *tableKeys) look(in *input) {
	has := t.get(in.ev)
	if len(has) < len(t.entries) {
		for name := range has {
			if e := t.entries[name]; e != nil {
				e.look(in)
			}
		}
		return
	}
	for name, e := range t.entries {
		if _, ok := has[name]; ok {
			e.look(in)
		}
	}
}

func (e *entryKeys) look(in *input) {
	if e.there != nil {
		in.post(e.there)
	}
	for _, t := range e.texts {
		t.look(in)
	}
}

func (t *textKeys) look(in *input) {
	text := in.slot(t.slot)
	if text == "" {
		if t.empty != nil {
			in.post(t.empty)
		}
		return // no beginning, ending, literal or word in lower case is empty
	}
	if len(t.equal) > 0 {
		if p := t.equal[text]; p != nil {
			in.post(p)
		}
	}
	if t.filled != nil {
		in.post(t.filled)
	}
	if t.longest >= len(text) {
		if p := t.equalLow[in.lowered(t.slot)]; p != nil {
			in.post(p)
		}
	}
	for _, r := range t.affixes {
		r.walk(text, in)
	}
	if t.searched {
		for _, no := range in.scan(t.slot).known.list {
			if p := in.set.index.patterns[no].posts; p != nil {
				in.post(p)
			}
		}
	}
}

// numberKeys are the keys of a number field.
type numberKeys struct {
	name   string
	get    func(*event.Event) int64
	equal  map[int64]*posts
	ranges []numberRange
	// cuts are where ranges begin or end; parts[i] is what is behind the numbers from cuts[i-1], or the least, to below cuts[i].
	cuts  []int64
	parts []posts
}

type numberRange struct {
	lo, hi int64
	unit   int
	second bool
}

// maxCuts bounds the parts that ranges cut the numbers into; with more, ranges are taken for wider than they are.
const maxCuts = 512

func (n *numberKeys) add(k key, unit int, second bool) {
	if k.lo == k.hi {
		at(n.equal, k.lo).add(unit, second)
		return
	}
	n.ranges = append(n.ranges, numberRange{k.lo, k.hi, unit, second})
}

func (n *numberKeys) build() {
	if len(n.ranges) == 0 {
		return
	}
	for _, r := range n.ranges {
		n.cuts = append(n.cuts, r.lo)
		if r.hi+1 > r.hi {
			n.cuts = append(n.cuts, r.hi+1)
		}
	}
	slices.Sort(n.cuts)
	n.cuts = slices.Compact(n.cuts)
	if step := (len(n.cuts) + maxCuts - 1) / maxCuts; step > 1 {
		for i := range len(n.cuts) / step {
			n.cuts[i] = n.cuts[i*step]
		}
		n.cuts = n.cuts[:len(n.cuts)/step]
	}
	n.parts = make([]posts, len(n.cuts)+1)
	for _, r := range n.ranges {
		for i := n.part(r.lo); i <= n.part(r.hi); i++ {
			n.parts[i].add(r.unit, r.second)
		}
	}
}

// part is the place in parts of a number.
func (n *numberKeys) part(v int64) int {
	i, ok := slices.BinarySearch(n.cuts, v)
	if ok {
		i++
	}
	return i
}

func (n *numberKeys) look(in *input) {
	v := n.get(in.ev)
	if p := n.equal[v]; p != nil {
		in.post(p)
	}
	if len(n.cuts) > 0 {
		in.post(&n.parts[n.part(v)])
	}
}
