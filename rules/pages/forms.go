package pages

import (
	"fmt"
	"strings"
	"time"

	"github.com/warder/warder/rules"
)

// steps lists what must happen in order.
func steps(b *strings.Builder, s *rules.Sequence) {
	fmt.Fprintf(b, "These steps, in this order, within %s of the first one's beginning:\n", rules.Span(s.Span))
	for i := range s.Steps {
		st := &s.Steps[i]
		how := ""
		switch {
		case st.Absent && i == len(s.Steps)-1:
			how = ", which must not happen until then"
		case st.Absent:
			how = ", which must not happen in between"
		case st.Count > 1:
			how = fmt.Sprintf(", %d times", st.Count)
		}
		fmt.Fprintf(b, "\n%d. **%s**%s\n\n%s", i+1, escape(st.Name), how, indent(fence(st.Filter, "cel")))
		for _, k := range st.Keep {
			fmt.Fprintf(b, "\n   Keeps %s as `%s.%s`.\n", code(k.Of), st.Name, k.Name)
		}
	}
	b.WriteString("\n")
}

// indent makes the block part of a list's entry.
func indent(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString("   " + line)
	}
	return b.String()
}

// form says what the other forms wait for, and what is remembered.
func form(b *strings.Builder, r *rules.Rule) {
	switch r.Form {
	case rules.FormAbsence:
		fmt.Fprintf(b, "\nIt alerts on silence. A group that matched at least %d times, never more than %s apart, has then not matched for %[2]s.\n",
			r.Absence.After, rules.Span(r.Absence.Span))
	case rules.FormFirstSeen:
		f := r.FirstSeen
		fmt.Fprintf(b, "\nIt alerts when %s is new to its group, once the group has been known for %s. A value is forgotten when it was not seen for %s.\n",
			code(f.Value), rules.Span(f.Learn), rules.Span(f.Forget))
	case rules.FormRare:
		f := r.Rare
		peers := "all groups"
		if len(f.Peers) > 0 {
			peers = "the groups with the same `" + strings.Join(f.Peers, "`, `") + "`"
		}
		fmt.Fprintf(b, "\nIt alerts when fewer than %g %% of %s had the same %s within %s; there must be at least %d of them.\n",
			f.Share*100, peers, code(f.Value), rules.Span(f.Span), f.Least)
	}
	for _, s := range r.Seen {
		not := ""
		if s.Not {
			not = "not "
		}
		fmt.Fprintf(b, "\nThe group must %shave seen %s within the %s before.\n", not, code(s.Of), rules.Span(s.Within))
	}
}

// exceptions lists what the rule leaves alone.
func exceptions(b *strings.Builder, r *rules.Rule) {
	if len(r.Except) == 0 {
		return
	}
	b.WriteString("\nKnown-good traffic that it leaves alone:\n\n| When | Until | Owner | Reason |\n| --- | --- | --- | --- |\n")
	for _, x := range r.Except {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", code(x.When), x.Until.AddDate(0, 0, -1).Format(time.DateOnly), escape(x.Owner), escape(x.Reason))
	}
}
