package sigma_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/warder/warder/rules/sigma"
)

// What cannot be converted is refused with its reason and line.
func TestRefused(t *testing.T) {
	const head = "title: x\nlogsource: {category: webserver}\n"
	selection := func(item string) string {
		return head + "detection:\n  sel:\n    " + item + "\n  condition: sel\n"
	}
	for _, c := range []struct {
		name, text, reason string
		line               int
	}{
		{"field", selection("Image: x"), `unknown field "Image"`, 5},
		{"server's side", selection("dst_ip: 192.0.2.1"), "does not tell about the server's side", 5},
		{"body", selection("cs-body: x"), "has no body", 5},
		{"modifier", selection("cs-method|near: x"), `unsupported modifier "near"`, 5},
		{"placeholder", selection("cs-host|expand: '%servers%'"), "placeholder %servers%", 5},
		{"look-ahead", selection("cs-host|re: 'a(?!b)'"), "RE2 has no (?!", 5},
		{"back reference", selection(`cs-host|re: '(a)\1'`), "no back references", 5},
		{"re not first", selection("cs-host|contains|re: a"), "re must be the first", 5},
		{"flag without re", selection("cs-host|i: a"), "only allowed after re", 5},
		{"network", selection("c-ip|cidr: 10.0.0.0/99"), "is no network", 5},
		{"order of texts", selection("cs-host|lt: 3"), "needs a number", 5},
		{"order by text", selection("sc-status|lt: x"), "needs a whole number", 5},
		{"number", selection("sc-bytes: many"), "is not a whole number", 5},
		{"base64 of wildcards", selection("cs-host|base64: 'a*'"), "wildcards", 5},
		{"not UTF-8", selection("cs-host|utf16: a"), "not UTF-8", 5},
		{"list in value", selection("cs-host: [[a]]"), "not a list or a map", 5},
		{"no value", selection("cs-host: []"), "has no value", 5},
		{"exists", selection("cs-host|exists: perhaps"), "want true or false", 5},
		{"together", selection("cs-host|re|fieldref: a"), "do not go together", 5},
		{"empty keyword", head + "detection: {k: [''], condition: k}", "every message", 3},
		{"nothing", head + "detection: {k: {c-uri-extension: a/b}, condition: k}", "no event can ever match", 3},
		{"identifier", head + "detection: {k: {cs-host: a}, condition: k and other}", `condition names "other"`, 3},
		{"pattern", head + "detection: {k: {cs-host: a}, condition: 1 of sel*}", `no search identifier matches "sel*"`, 3},
		{"bracket", head + "detection: {k: {cs-host: a}, condition: (k}", "not closed", 3},
		{"word", head + "detection: {k: {cs-host: a}, condition: k k}", `unexpected "k"`, 3},
		{"near", head + "detection: {k: {cs-host: a}, timeframe: 1m, condition: k | near other}", "near", 3},
		{"no timeframe", head + "detection: {k: {cs-host: a}, condition: k | count() > 5}", "without timeframe", 3},
		{"upper bound", head + "detection: {k: {cs-host: a}, timeframe: 1m, condition: k | count() < 5}", "absence", 3},
		{"log source", "title: x\nlogsource: {product: windows}\ndetection: {k: [a], condition: k}", "log source product windows", 2},
		{"error log", "title: x\nlogsource: {service: apache}\ndetection: {k: [a], condition: k}", "error log", 2},
		{"deprecated", "title: x\nstatus: deprecated\n", "deprecated", 2},
		{"taxonomy", "title: x\ntaxonomy: ecs\n", "taxonomy", 2},
		{"title", "logsource: {category: proxy}\ndetection: {k: [a], condition: k}", "has no title", 1},
		{"no detection", head, "no detection", 1},
		{"yaml", "a: [", "cannot be read as YAML", 1},
		{"twice", "title: x\ntitle: y", "", 2},
		{"no rule", "- a", "want a Sigma rule", 1},
		{"filter", "title: x\nlogsource: {category: proxy}\nfilter: {rules: [a], selection: {cs-host: a}, condition: selection}", "global filter", 3},
		{"correlated", "title: x\ncorrelation: {type: event_count, rules: [y], timespan: 1m, condition: {gte: 2}}", `rule "y", which is not among the files`, 2},
		{"time", "title: x\nname: y\n" + head[9:] + "detection: {k: [a], condition: k}\n---\ntitle: z\ncorrelation: {type: event_count, rules: [y], timespan: 7d, condition: {gte: 2}}", "a window is 1s to 24h", 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sigma.Convert(sigma.Options{}, sigma.File{Name: "x.yml", Text: []byte(c.text)})
			found := ""
			for _, o := range r.Outcomes {
				if !o.Converted {
					if found = fmt.Sprintf("%d: %s", o.Line, o.Reason); strings.Contains(o.Reason, c.reason) && o.Line == c.line {
						return
					}
				}
			}
			t.Errorf("got %q, want line %d: %s", found, c.line, c.reason)
		})
	}
}

// A rule that serves a correlation is not written by itself, unless the correlation says so; a refused one takes it along.
func TestReferred(t *testing.T) {
	const rule = "title: One\nname: one\nlogsource: {category: webserver}\ndetection: {k: {sc-status: 401}, condition: k}\n---\n"
	const count = "title: Many\n%scorrelation: {type: event_count, rules: [one], group-by: [c-ip], timespan: %s, condition: {gte: 3}}\n"
	for _, c := range []struct {
		name, text string
		rules      []string
	}{
		{"alone", fmt.Sprintf(rule+count, "", "1m"), []string{"sigma-many"}},
		{"both", fmt.Sprintf(rule+count, "generate: true\n", "1m"), []string{"sigma-one", "sigma-many"}},
		{"refused", fmt.Sprintf(rule+count, "", "1y"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sigma.Convert(sigma.Options{}, sigma.File{Name: "x.yml", Text: []byte(c.text)})
			var got []string
			for _, x := range r.Rules {
				got = append(got, x.ID)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.rules) {
				t.Errorf("got %v, want %v: %+v", got, c.rules, r.Outcomes)
			}
		})
	}
}
