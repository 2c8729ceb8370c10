package sigma

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// item is one line of a search identifier: a field, modifiers and values.
type item struct {
	at     *node
	field  field
	name   string
	values []value
	mods   modifiers
}

// value is one value of an item after its modifiers.
type value struct {
	at *node
	// patterns are what a text must match one of; modifiers such as windash make several of one.
	patterns []pattern
	null     bool
	number   string // the text of a number as written, "" when it is none
	re       *regexp.Regexp
}

// modifiers are those that do not change a value but what is done with it.
type modifiers struct {
	all, cased, negated bool
	compare             string // lt, lte, gt, gte
	cidr, exists, re    bool
	reFlags             string
	fieldref            bool
	left, right         bool   // of fieldref: contains, endswith, startswith
	part                string // minute, hour, day, month, year
}

// maxValues bounds an item's values, maxPatterns what modifiers make of one.
const (
	maxValues   = 2000
	maxPatterns = 625
)

// readItem reads "field|modifier…: values". Without a field it is a keyword.
func readItem(key, val *node) (*item, error) {
	words := strings.Split(key.text, "|")
	it := &item{at: key, name: words[0], field: field{kind: anyField}}
	var err error
	if it.name != "" {
		if it.field, err = fieldOf(key, it.name); err != nil {
			return nil, err
		}
	}
	if err := it.read(val); err != nil {
		return nil, err
	}
	for i, m := range words[1:] {
		if err := it.modify(strings.ToLower(strings.TrimSpace(m)), words[1:i+1]); err != nil {
			return nil, err
		}
	}
	return it, it.finish()
}

// read takes the values as they are written.
func (it *item) read(val *node) error {
	vals := []*node{val}
	if val.kind == listNode {
		vals = val.vals
	}
	if len(vals) == 0 {
		return refuse(val, "%s has no value", it.name)
	}
	if len(vals) > maxValues {
		return refuse(val, "%s has %d values, limit is %d", it.name, len(vals), maxValues)
	}
	for _, n := range vals {
		v := value{at: n}
		switch n.kind {
		case nullNode:
			v.null = true
		case mapNode, listNode:
			return refuse(n, "%s: want a value, not a list or a map in it", it.name)
		default:
			v.patterns = []pattern{parsePattern(n.text)}
			if n.kind == numberNode {
				v.number = n.text
			}
		}
		it.values = append(it.values, v)
	}
	return nil
}

// modify applies a modifier to the values, in the order in which they are written.
func (it *item) modify(name string, before []string) error {
	m := &it.mods
	switch name {
	case "all":
		m.all = true
	case "cased":
		m.cased = true
	case "neq", "not":
		m.negated = true
	case "contains", "startswith", "endswith":
		left, right := name != "startswith", name != "endswith"
		m.left, m.right = m.left || left, m.right || right
		return it.each(name, func(p pattern) ([]pattern, error) { return []pattern{p.open(left, right)}, nil })
	case "re":
		if len(before) > 0 {
			return refuse(it.at, "modifier re must be the first")
		}
		m.re = true
	case "i", "ignorecase", "m", "multiline", "s", "dotall":
		if !m.re {
			return refuse(it.at, "modifier %s is only allowed after re", name)
		}
		m.reFlags += strings.Replace(name[:1], "d", "s", 1)
	case "cidr", "fieldref", "exists":
		m.cidr, m.fieldref, m.exists = m.cidr || name == "cidr", m.fieldref || name == "fieldref", m.exists || name == "exists"
	case "lt", "lte", "gt", "gte":
		m.compare = name
	case "minute", "hour", "day", "month", "year":
		m.part = name
	case "expand":
		return it.expand()
	case "windash", "base64", "base64offset", "wide", "utf16le", "utf16be", "utf16":
		return it.each(name, func(p pattern) ([]pattern, error) { return transform(it.at, name, p, before) })
	default:
		return refuse(it.at, "unsupported modifier %.40q", name)
	}
	return nil
}

// each changes the patterns of all values.
func (it *item) each(name string, f func(pattern) ([]pattern, error)) error {
	for i := range it.values {
		v := &it.values[i]
		if v.null {
			return refuse(v.at, "modifier %s cannot be applied to null", name)
		}
		var out []pattern
		for _, p := range v.patterns {
			made, err := f(p)
			if err != nil {
				return err
			}
			if out = append(out, made...); len(out) > maxPatterns {
				return refuse(v.at, "modifier %s makes more than %d patterns", name, maxPatterns)
			}
		}
		v.patterns = out
	}
	return nil
}

var placeholder = regexp.MustCompile(`(?:^|[^\\])%[^%\s]+%`)

// expand is refused where there is something to expand: nobody has told what a placeholder stands for.
func (it *item) expand() error {
	for i := range it.values {
		v := &it.values[i]
		if m := placeholder.FindString(v.at.text); m != "" {
			return refuse(v.at, "placeholder %.40s: write its values instead, as the rule's own list", strings.TrimLeft(m, `\ `))
		}
		for j, p := range v.patterns {
			v.patterns[j] = p.mapped(func(s string) string { return strings.ReplaceAll(s, `\%`, "%") })
		}
	}
	return nil
}

// finish checks what the modifiers have come to and compiles regular expressions.
func (it *item) finish() error {
	m := &it.mods
	kinds := 0
	for _, set := range []bool{m.re, m.cidr, m.exists, m.fieldref, m.compare != "", m.part != ""} {
		if set {
			kinds++
		}
	}
	if kinds > 1 && !(kinds == 2 && m.part != "" && m.compare != "") {
		return refuse(it.at, "modifiers of %q do not go together", it.at.text)
	}
	if it.field.kind == anyField && kinds > 0 && !m.re {
		return refuse(it.at, "modifiers of %q need a field", it.at.text)
	}
	for i := range it.values {
		v := &it.values[i]
		if m.re {
			if v.null {
				return refuse(v.at, "null is no regular expression")
			}
			var err error
			if v.re, err = compileRegex(v.at, it.framed(v.at.text), it.flags()); err != nil {
				return err
			}
		}
		for _, p := range v.patterns {
			if it.field.kind == anyField && (len(p) == 0 || p.any()) {
				return refuse(v.at, "an empty keyword is in every message")
			}
			if !p.valid() {
				return refuse(v.at, "the value is not UTF-8 after its modifiers; encode it with base64 or base64offset")
			}
		}
	}
	return nil
}

// framed is a regular expression with what startswith and endswith ask for.
func (it *item) framed(expr string) string {
	m := &it.mods
	switch {
	case m.left == m.right:
		return expr
	case m.left:
		return "(?:" + expr + ")$"
	}
	return "^(?:" + expr + ")"
}

func (it *item) flags() string {
	flags := []byte(it.mods.reFlags)
	slices.Sort(flags)
	return string(slices.Compact(flags))
}

// whole returns the value as a whole number: "200", 200 and 0x1f are.
func (v *value) whole() (int64, bool) {
	if len(v.patterns) != 1 {
		return 0, false
	}
	text, ok := v.patterns[0].literal()
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 0, 64)
	if err != nil {
		n, err = strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	}
	return n, err == nil
}
