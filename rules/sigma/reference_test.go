package sigma_test

import (
	"encoding/base64"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The reference is Sigma's semantics straight from its specification, on an event that is a table of field names: what a field
// can be read as (cs-uri-query, for one, as the query or as the address). It shares nothing with the importer. Rules are
// given as Go values: maps (in any order), lists, texts, ints, bools and nil.
type reference struct {
	fields  map[string][]string // a missing field has no reading
	absent  map[string]bool     // fields that are not there, whatever they can be read as
	message []string            // where keywords are looked for
}

type (
	object = map[string]any
	array  = []any
)

// holds evaluates a condition over search identifiers.
func (r reference) holds(identifiers object, condition string) bool {
	p := &refParser{words: strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(condition))}
	p.eval = func(name string) bool { return r.search(identifiers[name]) }
	for name := range identifiers {
		p.names = append(p.names, name)
	}
	return p.or()
}

func (r reference) search(v any) bool {
	switch v := v.(type) {
	case object:
		for key, val := range v {
			if !r.item(key, val) {
				return false
			}
		}
		return true
	case array:
		for _, e := range v {
			if r.search(e) {
				return true
			}
		}
		return false
	}
	return r.item("", v)
}

// item evaluates one "field|modifiers: values".
func (r reference) item(key string, val any) bool {
	words := strings.Split(key, "|")
	values, ok := val.(array)
	if !ok {
		values = array{val}
	}
	has := map[string]bool{}
	for _, m := range words[1:] {
		has[m] = true
	}
	readings := r.fields[words[0]]
	if words[0] == "" {
		readings = r.message
		has["contains"] = !has["re"]
	}
	count := 0
	for _, v := range values {
		if r.value(words[0], readings, has, v) {
			count++
		}
	}
	ok = count > 0
	if has["all"] {
		ok = count == len(values)
	}
	return ok != has["neq"]
}

func (r reference) value(field string, readings []string, has map[string]bool, v any) bool {
	there := len(readings) > 0 && !r.absent[field]
	switch {
	case has["exists"]:
		return there == v.(bool)
	case v == nil || v == "":
		return !there
	case v == "*" && !has["re"]:
		return there
	}
	text, _ := v.(string)
	if n, ok := v.(int); ok {
		text = strconv.Itoa(n)
	}
	if field == "cs-uri-stem" && strings.ContainsAny(text, "&=") { // docs/sigma.md: then it is the address that is meant, too
		readings = append([]string{}, append(readings, r.fields["cs-uri-query"][:1]...)...)
	}
	for _, got := range readings {
		if refOne(got, has, text, r) {
			return true
		}
	}
	return false
}

func refOne(got string, has map[string]bool, want string, r reference) bool {
	switch {
	case has["re"]:
		flags := ""
		for _, f := range []string{"i", "m", "s"} {
			if has[f] {
				flags += f
			}
		}
		if flags != "" {
			want = "(?" + flags + ")" + want
		}
		return regexp.MustCompile(want).MatchString(got)
	case has["cidr"]:
		a, err := netip.ParseAddr(got)
		return err == nil && netip.MustParsePrefix(want).Contains(a)
	case has["lt"] || has["lte"] || has["gt"] || has["gte"]:
		a, _ := strconv.Atoi(got)
		b, _ := strconv.Atoi(want)
		return has["lt"] && a < b || has["lte"] && a <= b || has["gt"] && a > b || has["gte"] && a >= b
	case has["fieldref"]:
		for _, other := range r.fields[want] {
			if strings.EqualFold(other, got) {
				return true
			}
		}
		return false
	case has["base64offset"]:
		for i := range 3 { // what is the same whatever stands around the text
			a := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("a", i) + want + "bb"))
			b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("z", i) + want + "\xff\xff"))
			if refWild(strings.ToLower(got), "*"+strings.ToLower(common(a, b))+"*") {
				return true
			}
		}
		return false
	case has["base64"]:
		want = base64.StdEncoding.EncodeToString([]byte(want))
	}
	if !has["cased"] {
		got, want = strings.ToLower(got), strings.ToLower(want)
	}
	text := []rune(got)
	for i := 0; i <= len(text); i++ { // every part of the text that the modifiers allow
		for j := i; j <= len(text); j++ {
			left, right := has["contains"] || has["endswith"], has["contains"] || has["startswith"]
			if (left || i == 0) && (right || j == len(text)) && refWild(string(text[i:j]), want) {
				return true
			}
		}
	}
	return false
}

// common is the longest text at one place of both.
func common(a, b string) string {
	best := ""
	for i := 0; i < len(a) && i < len(b); i++ {
		n := i
		for n < len(a) && n < len(b) && a[n] == b[n] {
			n++
		}
		if n-i > len(best) {
			best = a[i:n]
		}
	}
	return best
}

// refWild matches a Sigma string, by recursion.
func refWild(s, p string) bool {
	if p == "" {
		return s == ""
	}
	switch {
	case p[0] == '*':
		return refWild(s, p[1:]) || s != "" && refWild(afterRune(s), p)
	case s == "":
		return false
	case p[0] == '?':
		return refWild(afterRune(s), p[1:])
	case p[0] == '\\' && len(p) > 1 && strings.ContainsRune(`*?\`, rune(p[1])):
		return s[0] == p[1] && refWild(s[1:], p[2:])
	}
	return s[0] == p[0] && refWild(s[1:], p[1:])
}

func afterRune(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[n:]
}

// refParser evaluates a condition as it reads it.
type refParser struct {
	words []string
	names []string
	eval  func(string) bool
}

func (p *refParser) take(word string) bool {
	if len(p.words) > 0 && p.words[0] == word {
		p.words = p.words[1:]
		return true
	}
	return false
}

func (p *refParser) or() bool {
	v := p.and()
	for p.take("or") {
		w := p.and()
		v = v || w
	}
	return v
}

func (p *refParser) and() bool {
	v := p.one()
	for p.take("and") {
		w := p.one()
		v = v && w
	}
	return v
}

func (p *refParser) one() bool {
	switch {
	case p.take("not"):
		return !p.one()
	case p.take("("):
		v := p.or()
		p.take(")")
		return v
	}
	word := p.words[0]
	p.words = p.words[1:]
	if !p.take("of") {
		return p.eval(word)
	}
	target := strings.TrimSuffix(p.words[0], "*")
	p.words = p.words[1:]
	held, all := 0, 0
	for _, n := range p.names {
		if n[0] == '_' || target != "them" && !strings.HasPrefix(n, target) {
			continue
		}
		all++
		if p.eval(n) {
			held++
		}
	}
	if word == "all" {
		return held == all
	}
	least, err := strconv.Atoi(word)
	return held >= least && (err == nil || held > 0)
}
