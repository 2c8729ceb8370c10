package rules

import "slices"

// automaton finds which of many literals occur in a text, in one pass (Aho and Corasick, 1975, as a complete table). Letters
// are compared without regard to ASCII case, and any white space is a space. It is immutable.
type automaton struct {
	class   [256]uint8 // byte → column; 0: in no literal
	columns int
	next    []uint32   // state*columns + column → state
	found   [][]uint32 // by state: the literals that end there
}

// ends marks a way to a state in which literals end.
const ends = 1 << 31

// newAutomaton makes the table for folded literals; their numbers are their places in the slice. It is nil for none.
func newAutomaton(literals []string) *automaton {
	if len(literals) == 0 {
		return nil
	}
	a := &automaton{columns: 1}
	for _, l := range literals {
		for i := range len(l) {
			if a.class[l[i]] == 0 {
				a.class[l[i]] = uint8(a.columns)
				a.columns++
			}
		}
	}
	a.trie(literals)
	a.link()
	for i, s := range a.next {
		a.next[i] = s * uint32(a.columns)
		if len(a.found[s]) > 0 {
			a.next[i] |= ends
		}
	}
	for c := range a.class {
		a.class[c] = a.class[fold(byte(c))]
	}
	return a
}

// trie enters the literals; state 0 is the root, and 0 also stands for "no way on" until link has run.
func (a *automaton) trie(literals []string) {
	states, total := uint32(1), countStates(literals)
	a.next = make([]uint32, total*a.columns)
	a.found = make([][]uint32, total)
	for id, l := range literals {
		at := uint32(0)
		for i := range len(l) {
			step := at*uint32(a.columns) + uint32(a.class[l[i]])
			if a.next[step] == 0 {
				a.next[step] = states
				states++
			}
			at = a.next[step]
		}
		a.found[at] = append(a.found[at], uint32(id))
	}
}

// countStates is how many different beginnings the literals have, the empty one included.
func countStates(literals []string) int {
	sorted := slices.Sorted(slices.Values(literals))
	n, last := 1, ""
	for _, l := range sorted {
		same := 0
		for same < min(len(l), len(last)) && l[same] == last[same] {
			same++
		}
		n += len(l) - same
		last = l
	}
	return n
}

// link completes the table breadth first: where a state has no way on, it goes where its longest proper suffix goes.
func (a *automaton) link() {
	columns := uint32(a.columns)
	suffix := make([]uint32, len(a.found))
	queue := make([]uint32, 0, len(a.found))
	for c := range columns {
		if s := a.next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		a.found[at] = append(a.found[at], a.found[suffix[at]]...)
		for c := range columns {
			fall := a.next[suffix[at]*columns+c]
			if s := a.next[at*columns+c]; s != 0 {
				suffix[s] = fall
				queue = append(queue, s)
			} else {
				a.next[at*columns+c] = fall
			}
		}
	}
}

// scan sets the bit of every literal that occurs in the text. Two characters outside ASCII fold to ASCII letters in regular
// expressions without regard to case: U+017F to s and U+212A to k; they count as those letters here.
func (a *automaton) scan(text string, hits []uint64) {
	if a == nil {
		return
	}
	at := uint32(0)
	for i := 0; i < len(text); i++ {
		b := text[i]
		switch {
		case b == 0xc5 && i+1 < len(text) && text[i+1] == 0xbf:
			b, i = 's', i+1
		case b == 0xe2 && i+2 < len(text) && text[i+1] == 0x84 && text[i+2] == 0xaa:
			b, i = 'k', i+2
		}
		at = a.next[at+uint32(a.class[b])]
		if at&ends != 0 {
			at &^= ends
			for _, id := range a.found[at/uint32(a.columns)] {
				hits[id>>6] |= 1 << (id & 63)
			}
		}
	}
}
