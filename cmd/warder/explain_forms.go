package main

import (
	"fmt"
	"strings"

	"github.com/warder/warder/detector/trial"
	"github.com/warder/warder/internal/console"
	"github.com/warder/warder/rules"
)

// maxState bounds what the list of events shows of a form's state, in characters.
const maxState = 100

// steps shows which steps of a sequence the event can be.
func (e *explainer) steps(list []rules.StepTerm) {
	for i := range list {
		s := &list[i]
		name := "step " + s.Name
		if s.Absent {
			name += " (must not happen)"
		}
		e.term(name, s.Filter)
		for _, c := range s.Compares {
			fmt.Fprintf(e.w, "  ? %s  %s\n", console.Clean(c, maxTerm), e.p.Dim("depends on the attempt"))
		}
	}
}

// forms shows what the rule's form held after the event.
func (e *explainer) forms(list []trial.Form) {
	for i := range list {
		f := &list[i]
		for j, n := range f.Notes {
			head := "        "
			if j == 0 {
				head = "state   "
				if len(f.Group) > 0 {
					head += console.Clean(strings.Join(f.Group, " "), 60) + ": "
				}
			}
			fmt.Fprintf(e.w, "%s%s %s\n", head, console.Clean(n.Name, maxTerm), console.Clean(n.Value, maxTerm))
		}
	}
}

// stateText is the state on one line.
func stateText(list []trial.Form) string {
	var out []string
	for i := range list {
		for _, n := range list[i].Notes {
			out = append(out, n.Name+" "+n.Value)
		}
	}
	return strings.Join(out, "; ")
}
