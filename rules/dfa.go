package rules

import (
	"encoding/binary"
	"regexp"
	"regexp/syntax"
	"slices"
	"sync"
	"unicode/utf8"
)

// Regular expressions are run as a deterministic automaton whose states are made when a text first needs them, and kept: a step
// costs about a nanosecond where Go's machines, which follow all threads at every character, cost ten to five hundred. What it
// cannot tell within its bounds, and texts with other characters than ASCII, are left to package regexp, so that the answer is
// always the same. (The method is that of RE2 and of Thompson, 1968.)

// Bounds of automata: of one, of one text's new states, and of all that an input has. Attackers choose the texts.
const (
	dfaStates = 400
	dfaFresh  = 48
	dfaMemory = 8 << 20 // bytes
)

// Outcomes of a step, other than a state.
const (
	dfaUnknown = -1 - iota // not taken yet
	dfaMatch
	dfaNone // the text has ended without a match
	dfaFull // there is no room for the state
)

// machine is what automata of one regular expression share. It is immutable after its first use.
type machine struct {
	expr  string
	re    *regexp.Regexp
	once  sync.Once
	prog  *syntax.Prog         // nil: cannot be had
	class [utf8.RuneSelf]uint8 // of ASCII characters that the expression treats alike
	reps  []rune               // one of each class; then -1, the end of the text
}

func newMachine(expr string, re *regexp.Regexp) *machine { return &machine{expr: expr, re: re} }

// prepare compiles the expression for automata.
func (m *machine) prepare() {
	tree, err := syntax.Parse(m.expr, syntax.Perl)
	if err != nil {
		return
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return
	}
	m.divide(prog)
	m.prog = prog
}

// divide finds the classes: characters that every instruction treats alike, and every assertion.
func (m *machine) divide(prog *syntax.Prog) {
	var class [utf8.RuneSelf]int
	count := 1
	split := func(in func(r rune) bool) {
		moved := map[int]int{}
		for c := range class {
			if in(rune(c)) {
				to, ok := moved[class[c]]
				if !ok {
					to = count
					count++
					moved[class[c]] = to
				}
				class[c] = to
			}
		}
	}
	split(syntax.IsWordChar)
	split(func(r rune) bool { return r == '\n' })
	seen := map[string]bool{}
	for i := range prog.Inst {
		inst := &prog.Inst[i]
		switch inst.Op {
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		default:
			continue
		}
		if key := string(rune(inst.Op)) + string(rune(inst.Arg)) + string(inst.Rune); !seen[key] {
			seen[key] = true
			split(inst.MatchRune)
		}
	}
	number := map[int]uint8{}
	for c, of := range class {
		n, ok := number[of]
		if !ok {
			n = uint8(len(m.reps))
			number[of] = n
			m.reps = append(m.reps, rune(c))
		}
		m.class[c] = n
	}
	m.reps = append(m.reps, -1)
}

// dfa is an automaton with the states that it has made. It belongs to one input.
type dfa struct {
	*machine
	states []dfaState
	ids    map[string]int32
	next   []int32  // state*len(reps) + class → state or outcome
	seen   []uint32 // by instruction: the round in which it was reached
	round  uint32
	stack  []uint32
	memory *int // what the input's automata may still take, in bytes
}

// dfaState is what can be going on between two characters: instructions that wait for the next one, and what was before.
type dfaState struct {
	insts  []uint32
	before rune
}

func newDFA(m *machine, memory *int) *dfa {
	d := &dfa{machine: m, ids: map[string]int32{}, seen: make([]uint32, len(m.prog.Inst)), memory: memory}
	*memory -= 4 * len(d.seen)
	d.begin()
	insts := d.reach(nil, uint32(m.prog.Start))
	d.state(insts, -1)
	return d
}

func (d *dfa) begin() {
	if d.round++; d.round == 0 {
		clear(d.seen)
		d.round = 1
	}
}

// reach appends the instructions that wait for something, from one on.
func (d *dfa) reach(dst []uint32, pc uint32) []uint32 {
	d.stack = append(d.stack[:0], pc)
	for len(d.stack) > 0 {
		pc := d.stack[len(d.stack)-1]
		d.stack = d.stack[:len(d.stack)-1]
		if d.seen[pc] == d.round {
			continue
		}
		d.seen[pc] = d.round
		switch inst := &d.prog.Inst[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			d.stack = append(d.stack, inst.Arg, inst.Out)
		case syntax.InstCapture, syntax.InstNop:
			d.stack = append(d.stack, inst.Out)
		case syntax.InstFail:
		default:
			dst = append(dst, pc)
		}
	}
	return dst
}

// state returns the number of a state, a new one when there is room.
func (d *dfa) state(insts []uint32, before rune) int32 {
	slices.Sort(insts)
	key := make([]byte, 0, 4*len(insts)+1)
	for _, pc := range insts {
		key = binary.LittleEndian.AppendUint32(key, pc)
	}
	key = append(key, byte(before))
	if id, ok := d.ids[string(key)]; ok {
		return id
	}
	size := 8*len(insts) + 4*len(d.reps) + 64
	if len(d.states) > 0 && (len(d.states) >= dfaStates || *d.memory < size) {
		return dfaFull
	}
	*d.memory -= size
	id := int32(len(d.states))
	d.ids[string(key)] = id
	d.states = append(d.states, dfaState{slices.Clone(insts), before})
	for range d.reps {
		d.next = append(d.next, dfaUnknown)
	}
	return id
}

// match tells whether the text matches; ok is false when package regexp must be asked.
func (d *dfa) match(text string) (match, ok bool) {
	at, fresh := int32(0), 0
	width := int32(len(d.reps))
	for i := 0; i <= len(text); i++ {
		class := width - 1
		if i < len(text) {
			if text[i] >= utf8.RuneSelf {
				return false, false
			}
			class = int32(d.class[text[i]])
		}
		to := d.next[at*width+class]
		if to == dfaUnknown {
			if fresh++; fresh > dfaFresh {
				return false, false
			}
			if to = d.step(at, class); to != dfaFull {
				d.next[at*width+class] = to
			}
		}
		switch to {
		case dfaMatch:
			return true, true
		case dfaNone:
			return false, true
		case dfaFull:
			return false, false
		}
		at = to
	}
	return false, true
}

// step is where a state goes with a character of the class.
func (d *dfa) step(from, class int32) int32 {
	s := d.states[from]
	char := d.reps[class]
	holds := syntax.EmptyOpContext(s.before, char)
	// What waits for an assertion that holds here goes on; the rest of it dies.
	d.begin()
	var ready []uint32
	for _, pc := range s.insts {
		ready = d.reach(ready, pc)
	}
	for i := 0; i < len(ready); i++ {
		switch inst := &d.prog.Inst[ready[i]]; inst.Op {
		case syntax.InstMatch:
			return dfaMatch
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^holds == 0 {
				ready = d.reach(ready, inst.Out)
			}
		}
	}
	if char < 0 {
		return dfaNone
	}
	d.begin()
	var insts []uint32
	for _, pc := range ready {
		inst := &d.prog.Inst[pc]
		switch inst.Op {
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			if inst.MatchRune(char) {
				insts = d.reach(insts, inst.Out)
			}
		}
	}
	insts = d.reach(insts, uint32(d.prog.Start)) // a match may begin anywhere
	return d.state(insts, kindOf(char))
}

// kindOf is a character of the same kind as far as assertions go.
func kindOf(char rune) rune {
	switch {
	case char == '\n':
		return '\n'
	case syntax.IsWordChar(char):
		return 'a'
	}
	return ' '
}

// matches runs the pattern's regular expression.
func (in *input) matches(p *pattern, text string) bool {
	m := p.machine
	m.once.Do(m.prepare)
	if m.prog == nil {
		return m.re.MatchString(text)
	}
	d := in.dfas[p.no]
	if d == nil {
		if in.room < 8*len(m.prog.Inst) {
			return m.re.MatchString(text)
		}
		d = newDFA(m, &in.room)
		in.dfas[p.no] = d
	}
	if match, ok := d.match(text); ok {
		return match
	}
	return m.re.MatchString(text)
}
