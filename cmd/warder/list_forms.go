package main

import (
	"time"

	"github.com/warder/warder/rules"
)

// formJSON adds the rule's form, its memory, its exceptions and what people want to know of it, with the keys of rule files.
func formJSON(l map[string]any, r *rules.Rule) {
	switch r.Form {
	case rules.FormSequence:
		l["sequence"] = sequenceJSON(r.Sequence)
	case rules.FormAbsence:
		l["absence"] = map[string]any{"span": rules.Span(r.Absence.Span), "after": r.Absence.After}
	case rules.FormFirstSeen:
		f := r.FirstSeen
		l["first_seen"] = map[string]any{"value": f.Value, "learn": rules.Span(f.Learn), "forget": rules.Span(f.Forget)}
	case rules.FormRare:
		f := r.Rare
		l["rare"] = map[string]any{"value": f.Value, "peers": append([]string{}, f.Peers...), "share": f.Share, "least": f.Least, "span": rules.Span(f.Span)}
	}
	var seen, except []map[string]any
	for _, s := range r.Seen {
		seen = append(seen, map[string]any{"of": s.Of, "within": rules.Span(s.Within), "not": s.Not})
	}
	for _, x := range r.Except {
		except = append(except, map[string]any{"when": x.When, "owner": x.Owner, "reason": x.Reason, "until": x.Until.AddDate(0, 0, -1).Format(time.DateOnly)})
	}
	for key, list := range map[string][]map[string]any{"seen_before": seen, "except": except} {
		if list != nil {
			l[key] = list
		}
	}
	for key, text := range map[string]string{"extend": r.Extends, "owner": r.Owner, "author": r.Author, "license": r.License, "source_id": r.SourceID} {
		if text != "" {
			l[key] = text
		}
	}
	for key, list := range map[string][]string{"references": r.References, "falsepositives": r.FalsePositives} {
		if list != nil {
			l[key] = list
		}
	}
}

func sequenceJSON(s *rules.Sequence) map[string]any {
	var steps []map[string]any
	for i := range s.Steps {
		st := &s.Steps[i]
		x := map[string]any{"name": st.Name, "filter": st.Filter}
		if st.Absent {
			x["absent"] = true
		} else {
			x["count"] = st.Count
		}
		if len(st.Keep) > 0 {
			keep := map[string]string{}
			for _, k := range st.Keep {
				keep[k.Name] = k.Of
			}
			x["keep"] = keep
		}
		steps = append(steps, x)
	}
	return map[string]any{"span": rules.Span(s.Span), "steps": steps}
}
