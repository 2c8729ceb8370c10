package rules

import "fmt"

// Fires says in a few words what the rule looks at: "single event", "sliding 1m", "session, gap 5m", "sequence of 3 in 10m".
func (r *Rule) Fires() string {
	switch {
	case r.Form == FormSequence:
		return fmt.Sprintf("sequence of %d in %s", len(r.Sequence.Steps), Span(r.Sequence.Span))
	case r.Form == FormAbsence:
		return "absence of " + Span(r.Absence.Span)
	case r.Form == FormFirstSeen:
		return "first seen in " + Span(r.FirstSeen.Forget)
	case r.Form == FormRare:
		return "rare in " + Span(r.Rare.Span)
	case r.Window.Type == Session:
		return "session, gap " + Span(r.Window.Gap)
	case r.Window.Type != None:
		return r.Window.Type + " " + Span(r.Window.Size)
	case len(r.Seen) > 0:
		return "single event, remembered"
	}
	return "single event"
}
