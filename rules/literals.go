package rules

import (
	"cmp"
	"regexp/syntax"
	"slices"
	"strings"
)

// Bounds of the literals that are taken from one regular expression.
const (
	maxAlternatives = 512 // literals of which one must occur
	maxRequired     = 4   // such sets, of which all must be fulfilled
	maxClass        = 8   // characters of a class that are taken as literals
	maxHeads        = 128 // beginnings of what a part of the expression matches
	maxHead         = 32  // bytes of one of them
)

// formula says which literals, in lower case, a text contains that a regular expression matches, when ASCII case is ignored:
// one of literals, or all or one of parts. The zero formula says nothing.
type formula struct {
	literals []string
	parts    []formula
	all      bool
}

// nothing tells whether the formula says nothing.
func (f formula) nothing() bool { return len(f.literals) == 0 && len(f.parts) == 0 }

// nested tells whether the formula says more than the sets of required do.
func (f formula) nested() bool {
	for _, p := range f.parts {
		if len(p.parts) > 0 {
			return true
		}
	}
	return len(f.parts) > maxRequired
}

// requirement returns the formula of a pattern.
func requirement(pattern string) formula {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return formula{}
	}
	return shapeOf(re).formula()
}

// shape is what is known of the texts that a part of a regular expression matches, in lower case.
type shape struct {
	heads []string // each begins with one of these; nil when that is not known
	exact bool     // and is one of these
	rest  formula  // what each contains besides
}

// formula is what a text contains that has such a part.
func (s shape) formula() formula {
	out := formula{all: true}
	out.add(formula{literals: literals(s.heads)})
	out.add(s.rest)
	return out.simple()
}

// literals returns the set, or nothing when it says nothing.
func literals(set []string) []string {
	if slices.Contains(set, "") {
		return nil
	}
	return set
}

// add puts a part into a conjunction; one that says nothing is left out.
func (f *formula) add(p formula) {
	switch {
	case p.nothing():
	case p.all:
		f.parts = append(f.parts, p.parts...)
	default:
		f.parts = append(f.parts, p)
	}
}

func (f formula) simple() formula {
	if len(f.parts) == 1 {
		return f.parts[0]
	}
	return f
}

func shapeOf(re *syntax.Regexp) shape {
	switch re.Op {
	case syntax.OpLiteral:
		return literal(re.Rune)
	case syntax.OpCharClass:
		set := class(re.Rune)
		return shape{heads: set, exact: len(set) > 0}
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return shape{heads: []string{""}, exact: true}
	case syntax.OpCapture:
		return shapeOf(re.Sub[0])
	case syntax.OpPlus:
		s := shapeOf(re.Sub[0])
		s.exact = false
		return s
	case syntax.OpQuest:
		if s := shapeOf(re.Sub[0]); s.exact {
			return shape{heads: union(s.heads, []string{""}), exact: true}
		}
	case syntax.OpRepeat:
		return repeated(re)
	case syntax.OpConcat:
		return conjunction(re.Sub)
	case syntax.OpAlternate:
		return disjunction(re.Sub)
	}
	return shape{}
}

// literal is the shape of a text; of one with other characters than ASCII only the longest piece of ASCII is used.
func literal(runes []rune) shape {
	s := asciiRun(runes)
	switch {
	case s == "":
		return shape{}
	case len(s) == len(runes) && len(s) <= maxHead:
		return shape{heads: []string{s}, exact: true}
	}
	return shape{rest: formula{literals: []string{s}}}
}

// repeated is the shape of x{n,m}: what x demands, and a single character that often in a row.
func repeated(re *syntax.Regexp) shape {
	if re.Min == 0 {
		return shape{}
	}
	s := shapeOf(re.Sub[0])
	s.exact = s.exact && re.Min == 1 && re.Max == 1
	if re.Sub[0].Op == syntax.OpLiteral && len(re.Sub[0].Rune) == 1 && len(s.heads) == 1 {
		s.heads = []string{strings.Repeat(s.heads[0], min(re.Min, maxClass))}
		s.exact = re.Min == re.Max && re.Min <= maxClass
	}
	return s
}

// conjunction joins the heads of what follows one another, as long as there are few.
func conjunction(subs []*syntax.Regexp) shape {
	out := shape{exact: true}
	open, all := []string{""}, formula{all: true}
	flush := func() {
		if out.exact {
			out.heads, out.exact = open, false
		} else {
			all.add(formula{literals: literals(open)})
		}
		open = []string{""}
	}
	for _, sub := range subs {
		s := shapeOf(sub)
		if s.heads == nil {
			s.heads = []string{""}
		}
		joined := cross(open, s.heads)
		if joined == nil {
			flush()
			joined = s.heads
		}
		open = joined
		if !s.exact {
			flush()
			all.add(s.rest)
		}
	}
	if out.exact {
		out.heads = open
		return out
	}
	flush()
	out.rest = all.simple()
	return out
}

// cross returns each of a followed by each of b; nil when that is too much.
func cross(a, b []string) []string {
	if len(a)*len(b) > maxHeads {
		return nil
	}
	out := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			if len(x)+len(y) > maxHead {
				return nil
			}
			out = append(out, x+y)
		}
	}
	return out
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// disjunction says nothing when one branch says nothing.
func disjunction(subs []*syntax.Regexp) shape {
	out := shape{exact: true}
	shapes := make([]shape, len(subs))
	known := true
	for i, sub := range subs {
		s := shapeOf(sub)
		shapes[i] = s
		out.exact = out.exact && s.exact
		out.heads = union(out.heads, s.heads)
		known = known && s.heads != nil
	}
	if !known || len(out.heads) > maxHeads {
		out.heads, out.exact = nil, false
	}
	if !out.exact {
		out.rest = alternatives(shapes)
	}
	return out
}

// alternatives is the formula of one of several parts.
func alternatives(shapes []shape) formula {
	var out formula
	var words []string
	for _, s := range shapes {
		f := s.formula()
		switch {
		case f.nothing():
			return formula{}
		case len(f.literals) > 0:
			words = append(words, f.literals...)
		case f.all:
			out.parts = append(out.parts, f)
		default:
			out.parts = append(out.parts, f.parts...)
		}
	}
	if len(out.parts) == 0 {
		return formula{literals: words}
	}
	if len(words) > 0 {
		out.parts = append([]formula{{literals: words}}, out.parts...)
	}
	return out
}

// required returns sets of literals: a text that the pattern matches has at least one of each set. They say less than the
// formula, and are tested faster. The rarer the literals of a set are, the earlier it stands.
func required(pattern string, h habits) [][]string {
	sets := requirement(pattern).sets(h)
	for i := range sets {
		sets[i] = shortest(sets[i])
	}
	slices.SortStableFunc(sets, func(a, b []string) int { return cmp.Compare(h.frequency(a), h.frequency(b)) })
	sets = slices.CompactFunc(sets, slices.Equal)
	return sets[:min(len(sets), maxRequired)]
}

// shortest leaves out the literals that contain another one of the set.
func shortest(set []string) []string {
	slices.Sort(set)
	set = slices.Compact(set)
	return slices.DeleteFunc(slices.Clone(set), func(s string) bool {
		return slices.ContainsFunc(set, func(o string) bool { return len(o) < len(s) && strings.Contains(s, o) })
	})
}

func (f formula) sets(h habits) [][]string {
	if len(f.literals) > maxAlternatives {
		return nil
	}
	if len(f.literals) > 0 {
		return [][]string{slices.Clone(f.literals)}
	}
	if f.all {
		var sets [][]string
		for _, p := range f.parts {
			sets = append(sets, p.sets(h)...)
		}
		return sets
	}
	var union []string
	for _, p := range f.parts {
		sets := p.sets(h)
		if len(sets) == 0 {
			return nil
		}
		union = append(union, slices.MinFunc(sets, func(a, b []string) int { return cmp.Compare(h.frequency(a), h.frequency(b)) })...)
	}
	if len(union) == 0 || len(union) > maxAlternatives {
		return nil
	}
	return [][]string{union}
}

// asciiRun returns the longest run of ASCII characters, in lower case.
func asciiRun(runes []rune) string {
	best := ""
	for _, part := range strings.FieldsFunc(string(runes), func(r rune) bool { return r >= 0x80 }) {
		if len(part) > len(best) {
			best = part
		}
	}
	return folded(best)
}

// folded is a literal as searches see it: in lower case, and with a space for any white space. The searches see the text in the
// same way, so that they find at least what is there.
func folded(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = fold(b[i])
	}
	return string(b)
}

func fold(b byte) byte {
	switch {
	case b >= 'A' && b <= 'Z':
		return b + 'a' - 'A'
	case b >= '\t' && b <= '\r':
		return ' '
	}
	return b
}

// class returns the characters of a small class of ASCII characters, and nothing for other classes.
func class(ranges []rune) []string {
	var set []string
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			letter := string(r)
			switch {
			case r < 0x80:
				letter = folded(letter)
			case r == 0x17f: // counts as s in the search
				letter = "s"
			case r == 0x212a: // counts as k
				letter = "k"
			default:
				return nil
			}
			if len(set) > maxClass {
				return nil
			}
			if !slices.Contains(set, letter) {
				set = append(set, letter)
			}
		}
	}
	if len(set) > maxClass {
		return nil
	}
	return set
}
