package rules

import (
	"time"

	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/parser"
)

// StepTerm is the filter of one step, taken apart.
type StepTerm struct {
	Name   string `json:"name"`
	Absent bool   `json:"absent,omitempty"`
	// Filter is the part that looks at the event alone.
	Filter *Term `json:"filter"`
	// Compares are the conditions on kept values, in CEL; explain shows by the attempts what became of them.
	Compares []string `json:"compares,omitempty"`
}

// stepTerms takes the filters of a sequence's steps apart; none for other forms.
func (r *Rule) stepTerms(in *input) ([]StepTerm, error) {
	if r.Form != FormSequence {
		return nil, nil
	}
	var out []StepTerm
	for i := range r.Sequence.Steps {
		s := &r.Sequence.Steps[i]
		t, err := trace(r.env, s.filter, in)
		if err != nil {
			return nil, err
		}
		x := StepTerm{Name: s.Name, Absent: s.Absent, Filter: t}
		for _, c := range s.Compare {
			op := " == "
			if c.Not {
				op = " != "
			}
			x.Compares = append(x.Compares, c.of.text+op+r.Sequence.keptName(c.Slot))
		}
		out = append(out, x)
	}
	return out, nil
}

// keptName is what later steps call the value: STEP.NAME.
func (s *Sequence) keptName(slot int) string {
	for i := range s.Steps {
		for _, k := range s.Steps[i].Keep {
			if k.Slot == slot {
				return s.Steps[i].Name + "." + k.Name
			}
		}
	}
	return ""
}

// silencer is the number of the first exception that holds for the event in hand, -1 when none does.
func (r *Rule) silencer(in *input) int {
	for i := range r.Except {
		if x := &r.Except[i]; in.ev.Time.Before(x.Until) && r.accepts(in, x.when) {
			return i
		}
	}
	return -1
}

func exceptionText(x *Exception) string {
	out := " of " + x.Owner + ", until " + x.Until.AddDate(0, 0, -1).Format(time.DateOnly)
	if x.Reason != "" {
		out += ": " + x.Reason
	}
	return out
}

// macroUses says where the expression, as it is written, uses macros: a macro that is written out keeps the id of its use.
func (env *environment) macroUses(x *expression) map[int64]string {
	if len(env.macros) == 0 {
		return nil
	}
	parsed, issues := env.events.Parse(x.text)
	if issues.Err() != nil {
		return nil
	}
	a := parsed.NativeRep()
	out := map[int64]string{}
	celast.PreOrderVisit(a.Expr(), celast.NewExprVisitor(func(e celast.Expr) {
		name := ""
		switch e.Kind() {
		case celast.IdentKind:
			name = e.AsIdent()
		case celast.CallKind:
			if !e.AsCall().IsMemberFunction() {
				name = e.AsCall().FunctionName()
			}
		}
		if env.macros[name] != nil {
			out[e.ID()], _ = parser.Unparse(e, a.SourceInfo())
		}
	}))
	return out
}
