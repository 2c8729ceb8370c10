// Package pages writes documentation of rules: a Markdown page for each and an index. Whatever a rule's author wrote is escaped: a rule
// from elsewhere can put neither HTML nor links into the pages.
package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/coverage"
)

// Write writes index.md and a page ID.md for each rule into the folder, which is made when it does not exist. Files of that name are
// replaced, others are left alone. It returns the number of pages.
func Write(dir string, list []*rules.Rule) (int, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, fmt.Errorf("write pages: %w", err)
	}
	files := map[string]string{"index.md": Index(list)}
	for _, r := range list {
		files[file(r)] = Page(r)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return 0, fmt.Errorf("write pages: %w", err)
		}
	}
	return len(list), nil
}

// file is the name of the rule's page: ids hold no character that means anything in a path.
func file(r *rules.Rule) string {
	if r.ID == "index" {
		return "index-rule.md"
	}
	return r.ID + ".md"
}

// Index lists the rules with links to their pages.
func Index(list []*rules.Rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Rules\n\n%d rules.\n\n| Rule | Severity | Title | Fires on | Answer |\n| --- | --- | --- | --- | --- |\n", len(list))
	for _, r := range list {
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s | %s | %s |\n", r.ID, file(r), r.Severity, escape(r.Title), fires(r), answers(r))
	}
	return b.String()
}

// Page documents one rule.
func Page(r *rules.Rule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n`%s` · severity **%s** · mode %s\n\n", escape(r.Title), r.ID, r.Severity, mode(r))
	for line := range strings.Lines(r.Description) {
		b.WriteString(escape(strings.TrimSpace(line)) + "\n")
	}
	b.WriteString("\n## How it fires\n\n")
	how(&b, r)
	fmt.Fprintf(&b, "\n## Answer\n\n%s\n", sentence(answers(r)))
	if len(r.Tags) > 0 {
		b.WriteString("\n## Covers\n\n")
		for _, t := range r.Tags {
			b.WriteString("- " + tag(t) + "\n")
		}
	}
	tests(&b, r)
	fmt.Fprintf(&b, "\n---\n\nFrom %s, line %d; version `%s`. [All rules](index.md)\n", code(r.File), r.Line, r.Version)
	return b.String()
}

func mode(r *rules.Rule) string {
	if r.Mode == alert.Canary {
		return fmt.Sprintf("canary %d %%", r.Canary)
	}
	return string(r.Mode)
}

func fires(r *rules.Rule) string {
	switch {
	case r.Form == rules.FormEvents && r.Window.Type == rules.None:
		return "a single request"
	case r.Form != rules.FormEvents:
		return r.Fires()
	case r.Window.Type == rules.Session:
		return fmt.Sprintf("session that ends after %s, at most %s long", rules.Span(r.Window.Gap), rules.Span(r.Window.Size))
	}
	return fmt.Sprintf("%s window of %s", r.Window.Type, rules.Span(r.Window.Size))
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

func how(b *strings.Builder, r *rules.Rule) {
	parts := map[string]string{}
	for _, p := range r.Parts() {
		parts[p.Name] = p.Text
	}
	if r.Form == rules.FormSequence {
		steps(b, r.Sequence)
	} else {
		b.WriteString("A request counts when\n\n" + fence(parts["filter"], "cel") + "\n")
	}
	group := "All requests are taken together."
	if len(r.GroupBy) > 0 {
		group = "Requests are told apart by `" + strings.Join(r.GroupBy, "`, `") + "`."
	}
	b.WriteString(group + "\n")
	if r.Window.Type != rules.None {
		fmt.Fprintf(b, "\nOver a %s, these values are kept:\n\n| Value | Is | Of requests where |\n| --- | --- | --- |\n", fires(r))
		for _, a := range r.Aggregates {
			is := a.Func
			if a.Func == rules.Quantile {
				is = fmt.Sprintf("quantile %g", a.Q)
			}
			if a.Of != "" {
				is += " of " + code(a.Of)
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", a.Name, is, code(a.Where))
		}
	}
	form(b, r)
	if c := parts["condition"]; c != "" {
		b.WriteString("\nIt alerts when\n\n" + fence(c, "cel"))
	}
	if r.Suppress > 0 {
		fmt.Fprintf(b, "\nAfter an alert the same group is silent for %s.\n", rules.Span(r.Suppress))
	}
	exceptions(b, r)
	if r.IncludeEnforced {
		b.WriteString("\nRequests that Warder itself answered count, too.\n")
	}
}

func answers(r *rules.Rule) string {
	var out []string
	for _, a := range r.Respond {
		scope := strings.Join(append([]string{a.Scope}, a.And...), "` with `")
		s := fmt.Sprintf("%s `%s` for %s", a.Action, scope, rules.Span(a.TTL))
		if a.Status > 0 {
			s = fmt.Sprintf("challenge `%s` with %d for %s", scope, a.Status, rules.Span(a.TTL))
		}
		if a.Requests > 0 {
			s = fmt.Sprintf("limit `%s` to %d requests per %s (burst %d) for %s", scope, a.Requests, rules.Span(a.Per), a.Burst, rules.Span(a.TTL))
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return "alert only"
	}
	return strings.Join(out, ", ")
}

func tests(b *strings.Builder, r *rules.Rule) {
	if len(r.Tests) == 0 {
		b.WriteString("\n## Tests\n\nNone.\n")
		return
	}
	b.WriteString("\n## Tests\n\n| Test | Alerts |\n| --- | --- |\n")
	for i := range r.Tests {
		t := &r.Tests[i]
		fmt.Fprintf(b, "| %s | %d |\n", escape(t.Name), len(t.Expect))
	}
}

// tag is a tag with a link to what it names, where that is known.
func tag(t string) string {
	if n := coverage.OWASP(t); n > 0 {
		risk := coverage.Of(nil).OWASP[n-1]
		return fmt.Sprintf("[%s](%s) OWASP %s %s", t, risk.URL, risk.ID, risk.Name)
	}
	if id := coverage.ATTACK(t); id != "" {
		x := coverage.Describe(id)
		return strings.TrimSpace(fmt.Sprintf("[%s](%s) MITRE ATT&CK %s %s", t, x.URL, id, x.Name))
	}
	if name, url := coverage.Named(t); name != "" {
		return fmt.Sprintf("[%s](%s) %s", t, url, name)
	}
	kind, n, _ := strings.Cut(strings.ToLower(t), ".")
	switch {
	case kind == "capec" && digits(n):
		return fmt.Sprintf("[%s](https://capec.mitre.org/data/definitions/%s.html)", t, n)
	case kind == "cwe" && digits(n):
		return fmt.Sprintf("[%s](https://cwe.mitre.org/data/definitions/%s.html)", t, n)
	case kind == "cve" && digits(strings.ReplaceAll(n, "-", "")):
		return fmt.Sprintf("[%s](https://www.cve.org/CVERecord?id=CVE-%s)", t, n)
	}
	return code(t)
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
