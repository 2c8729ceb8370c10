package rules

import (
	"fmt"
	"strings"
	"time"
)

// unused warns of lists and macros that no rule uses.
func (l *library) unused() []Finding {
	var out []Finding
	warn := func(src source, line int, check, what, name string) {
		out = append(out, Finding{Level: LevelWarning, File: src.file, Line: line, Check: check, Msg: fmt.Sprintf("no rule uses the %s %s", what, name)})
	}
	if len(l.errs) > 0 {
		return nil // a rule that was not read may use them
	}
	for _, x := range l.env.lists {
		if !x.used && !x.shipped {
			warn(x.src, x.line, "unused-list", "list", x.name)
		}
	}
	for _, m := range l.env.macros {
		if !m.used && !m.shipped {
			warn(m.src, m.line, "unused-macro", "macro", m.name)
		}
		if loose := m.looseParameters(); len(loose) > 0 && !m.shipped {
			out = append(out, Finding{Level: LevelWarning, File: m.src.file, Line: m.line, Check: "unused-parameter",
				Msg: fmt.Sprintf("the macro %s does not use its parameter %s", m.name, strings.Join(loose, ", "))})
		}
	}
	return out
}

// extensions looks at what the rule took over and at what it leaves alone.
func (l *linter) extensions() {
	r := l.rule
	if r.Extends != "" && len(r.Tests) == 0 {
		l.warn("untested-extension", "extends %s and has no tests: those of %[1]s are not inherited, because what was tuned may contradict them", r.Extends)
	}
	for i := range r.Except {
		x := &r.Except[i]
		if x.inherited {
			continue // said where it is written, or in nobody's hands
		}
		if x.Reason == "" {
			l.add(LevelWarning, x.Line, "missing-reason", "an exception of %s has no reason", x.Owner)
		}
		if !l.now.IsZero() && !l.now.Before(x.Until) {
			l.add(LevelWarning, x.Line, "expired-exception", "an exception of %s ended with %s: remove it, or ask whether it is still needed",
				x.Owner, x.Until.AddDate(0, 0, -1).Format(time.DateOnly))
		}
		if x.when != nil && x.when.canonical == "true" {
			l.add(LevelWarning, x.Line, "over-broad", "an exception of %s silences the whole rule", x.Owner)
		}
	}
}
