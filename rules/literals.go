package rules

import (
	"regexp/syntax"
	"slices"
	"strings"
)

// Bounds of the literals that are taken from one regular expression.
const (
	maxAlternatives = 512 // literals of which one must occur
	maxRequired     = 4   // such sets, of which all must be fulfilled
	maxClass        = 8   // characters of a class that are taken as literals
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
	return formulaOf(re)
}

func formulaOf(re *syntax.Regexp) formula {
	switch re.Op {
	case syntax.OpLiteral:
		if s := asciiRun(re.Rune); s != "" {
			return formula{literals: []string{s}}
		}
	case syntax.OpCharClass:
		return formula{literals: class(re.Rune)}
	case syntax.OpCapture, syntax.OpPlus:
		return formulaOf(re.Sub[0])
	case syntax.OpRepeat:
		return repeated(re)
	case syntax.OpConcat:
		return conjunction(re.Sub)
	case syntax.OpAlternate:
		return disjunction(re.Sub)
	}
	return formula{}
}

// repeated is the formula of x{n,m}: what x demands, and a single character that often in a row.
func repeated(re *syntax.Regexp) formula {
	if re.Min == 0 {
		return formula{}
	}
	f := formulaOf(re.Sub[0])
	if re.Sub[0].Op == syntax.OpLiteral && len(re.Sub[0].Rune) == 1 && len(f.literals) == 1 {
		f.literals = []string{strings.Repeat(f.literals[0], min(re.Min, maxClass))}
	}
	return f
}

// conjunction leaves out the parts that say nothing.
func conjunction(subs []*syntax.Regexp) formula {
	out := formula{all: true}
	for _, sub := range subs {
		switch f := formulaOf(sub); {
		case f.nothing():
		case f.all:
			out.parts = append(out.parts, f.parts...)
		default:
			out.parts = append(out.parts, f)
		}
	}
	if len(out.parts) == 1 {
		return out.parts[0]
	}
	return out
}

// disjunction says nothing when one branch says nothing.
func disjunction(subs []*syntax.Regexp) formula {
	var out formula
	var literals []string
	for _, sub := range subs {
		f := formulaOf(sub)
		switch {
		case f.nothing():
			return formula{}
		case len(f.literals) > 0:
			literals = append(literals, f.literals...)
		case f.all:
			out.parts = append(out.parts, f)
		default:
			out.parts = append(out.parts, f.parts...)
		}
	}
	if len(out.parts) == 0 {
		return formula{literals: literals}
	}
	if len(literals) > 0 {
		out.parts = append([]formula{{literals: literals}}, out.parts...)
	}
	return out
}

// required returns sets of literals: a text that the pattern matches has at least one of each set. They say less than the
// formula, and are tested faster. The fewer and longer the literals of a set are, the earlier it stands.
func required(pattern string) [][]string {
	sets := requirement(pattern).sets()
	for i := range sets {
		slices.Sort(sets[i])
		sets[i] = slices.Compact(sets[i])
	}
	slices.SortStableFunc(sets, func(a, b []string) int { return worth(b) - worth(a) })
	return sets[:min(len(sets), maxRequired)]
}

func (f formula) sets() [][]string {
	if len(f.literals) > maxAlternatives {
		return nil
	}
	if len(f.literals) > 0 {
		return [][]string{slices.Clone(f.literals)}
	}
	if f.all {
		var sets [][]string
		for _, p := range f.parts {
			sets = append(sets, p.sets()...)
		}
		return sets
	}
	var union []string
	for _, p := range f.parts {
		sets := p.sets()
		if len(sets) == 0 {
			return nil
		}
		union = append(union, slices.MaxFunc(sets, func(a, b []string) int { return worth(a) - worth(b) })...)
	}
	if len(union) == 0 || len(union) > maxAlternatives {
		return nil
	}
	return [][]string{union}
}

// worth ranks sets: the shortest literal counts most, then how few there are.
func worth(set []string) int {
	shortest := len(set[0])
	for _, s := range set {
		shortest = min(shortest, len(s))
	}
	return min(shortest, 8)*maxAlternatives*2 - len(set)
}

// asciiRun returns the longest run of ASCII characters, in lower case.
func asciiRun(runes []rune) string {
	best := ""
	for _, part := range strings.FieldsFunc(string(runes), func(r rune) bool { return r >= 0x80 }) {
		if len(part) > len(best) {
			best = part
		}
	}
	return strings.ToLower(best)
}

// class returns the characters of a small class of ASCII characters, and nothing for other classes.
func class(ranges []rune) []string {
	var set []string
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			letter := strings.ToLower(string(r))
			switch {
			case r == 0x17f: // counts as s in the search
				letter = "s"
			case r == 0x212a: // counts as k
				letter = "k"
			case r >= 0x80 || len(set) > maxClass:
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
