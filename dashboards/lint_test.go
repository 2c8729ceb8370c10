package dashboards

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	whatToDo    = regexp.MustCompile(`\b(If|When|Where) `)
	spanMacro   = regexp.MustCompile(`\$__(timeFilter|timeFilter_ms|dateFilter|fromTime|toTime|fromTime_ms|toTime_ms)\b`)
	variableUse = regexp.MustCompile(`\$(?:\{(\w+)[^}]*\}|(\w+))`)
)

// faults lists what is wrong with a panel before it has been asked anything.
func faults(b Board, p Panel) []string {
	var out []string
	fault := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	fault(p.Width < 1 || p.Width > columns || p.Height < 2, "is %d wide and %d high", p.Width, p.Height)
	if p.Kind == Text {
		fault(p.Text == "" || p.Query != "", "is of words, but has none, or has a query")
		return out
	}
	fault(p.Title == "", "has no title")
	fault(len(p.Description) < 40 || !whatToDo.MatchString(p.Description), "its description does not tell what it shows and what to do: %q", p.Description)
	fault(p.Unit == "" && len(p.Units) == 0, "has no unit")
	for c := range p.Units {
		fault(!slices.Contains(p.Columns, c), "has a unit for %q, which is no column", c)
	}
	if p.Kind == Stat || p.Kind == Gauge {
		fault(len(p.Thresholds) < 2 && p.Neutral == "", "has no thresholds, and does not say why")
		fault(len(p.Thresholds) > 1 && p.Neutral != "", "has thresholds, and says why it has none")
	}
	fault(!slices.IsSortedFunc(p.Thresholds[min(1, len(p.Thresholds)):], func(a, b Threshold) int { return int(a.Value*1e6 - b.Value*1e6) }), "its thresholds do not rise")
	fault(p.Kind == Table && (p.Judged == "") != (len(p.Thresholds) < 2) || p.Judged != "" && !slices.Contains(p.Columns, p.Judged), "has thresholds and no column for them, or the reverse")
	fault(len(p.Columns) == 0, "names no columns")
	fault(p.Kind == Table && !strings.Contains(p.Query, "LIMIT "), "is a table without LIMIT")
	fault(p.By != "" && p.Kind != TimeSeries, "is parted by %q, which only a time series can be", p.By)
	fault(!spanMacro.MatchString(p.Query), "its query does not heed the board's time span")
	return append(append(out, rawFaults(p)...), quotingFaults(b, p.Query)...)
}

// rawFaults are those of reading every single request where sums of them are kept.
func rawFaults(p Panel) []string {
	if !reads(p.Query, "events") {
		if p.Raw != "" {
			return []string{"says why it reads events, and does not"}
		}
		return nil
	}
	switch {
	case p.Raw == "":
		return []string{"reads events: use a rollup, or say in Raw why none will do"}
	case !strings.Contains(p.Query, "${"):
		return []string{"reads events without being narrowed to what a variable names"}
	case !strings.Contains(p.Query, "LIMIT "):
		return []string{"reads events without LIMIT"}
	}
	return nil
}

// quotingFaults are variables that are not there or that could leave their place in the statement.
func quotingFaults(b Board, query string) []string {
	var out []string
	safe := query
	for _, v := range b.Variables {
		safe = strings.ReplaceAll(safe, text(v.Name), "")
		safe = strings.ReplaceAll(safe, ", $"+v.Name+")", ")") // of $__conditionalAll, which does not put it into the statement
	}
	for _, m := range variableUse.FindAllStringSubmatch(safe, -1) {
		if name := m[1] + m[2]; !strings.HasPrefix(name, "__") {
			out = append(out, fmt.Sprintf("%s: there is no such variable, or it is not written by way of text() or among()", m[0]))
		}
	}
	return out
}

func TestPanels(t *testing.T) {
	each(t, func(t *testing.T, b Board) {
		titles := map[string]bool{}
		panels(b, func(p Panel) {
			for _, f := range faults(b, p) {
				t.Errorf("%q %s", p.Title, f)
			}
			if p.Title != "" && titles[p.Title] {
				t.Errorf("two panels are called %q", p.Title)
			}
			titles[p.Title] = true
		})
		for _, v := range b.Variables {
			for _, f := range quotingFaults(b, v.Query) {
				t.Errorf("variable %s %s", v.Name, f)
			}
			if v.Name == "" || v.Label == "" {
				t.Errorf("variable %q has no name or label", v.Name)
			}
		}
		if b.Description == "" || b.Span == "" {
			t.Error("the board has no description or span")
		}
	})
}

// The checks themselves find what they are there for.
func TestFaults(t *testing.T) {
	b := Board{Variables: []Variable{{Name: "entity"}, {Name: "api", Multi: true}}}
	good := func() Panel {
		return Panel{
			Title: "Requests", Kind: Stat, Width: 4, Height: 4, Unit: "short", Columns: []string{"n"}, Thresholds: []Threshold{{Color: "green"}, {1, "red"}},
			Description: "Requests in this span. If this rises: look at the top clients.", Query: "SELECT count() AS n FROM traffic_minute WHERE $__timeFilter(time)",
		}
	}
	raw := "SELECT time FROM events WHERE $__timeFilter_ms(time) AND principal_id = " + text("entity") + " LIMIT 10"
	tests := []struct {
		name  string
		spoil func(p *Panel)
		want  string // in a fault; "" for none
	}{
		{"nothing wrong", func(*Panel) {}, ""},
		{"no description", func(p *Panel) { p.Description = "" }, "does not tell"},
		{"a description that leaves people alone", func(p *Panel) { p.Description = "The number of requests that were made in this span of time." }, "does not tell"},
		{"no unit", func(p *Panel) { p.Unit = "" }, "has no unit"},
		{"a unit of no column", func(p *Panel) { p.Units = map[string]string{"m": "s"} }, "no column"},
		{"no thresholds", func(p *Panel) { p.Thresholds = nil }, "has no thresholds"},
		{"no thresholds, with a reason", func(p *Panel) { p.Thresholds, p.Neutral = nil, "more is neither better nor worse" }, ""},
		{"thresholds that fall", func(p *Panel) { p.Thresholds = append(p.Thresholds, Threshold{0.5, "red"}) }, "do not rise"},
		{"events without a reason", func(p *Panel) { p.Query = raw }, "use a rollup"},
		{"events, with a reason and narrow", func(p *Panel) { p.Query, p.Raw = raw, "single requests" }, ""},
		{"events, not narrow", func(p *Panel) {
			p.Query, p.Raw = "SELECT time FROM events WHERE $__timeFilter_ms(time) LIMIT 10", "single requests"
		}, "without being narrowed"},
		{"events in a join", func(p *Panel) { p.Query += " AND id IN (SELECT id FROM\n\tevents)" }, "use a rollup"},
		{"a reason for nothing", func(p *Panel) { p.Raw = "single requests" }, "does not"},
		{"a query about all times", func(p *Panel) { p.Query = "SELECT count() FROM alerts" }, "time span"},
		{"a table without limit", func(p *Panel) { p.Kind = Table }, "LIMIT"},
		{"a variable in Grafana's quotes", func(p *Panel) { p.Query += " AND api_name IN (${api:singlequote})" }, "by way of text()"},
		{"a bare variable", func(p *Panel) { p.Query += " AND api_name = '$api'" }, "by way of text()"},
		{"thresholds for no column", func(p *Panel) { p.Kind, p.Query = Table, p.Query+" LIMIT 1" }, "no column for them"},
		{"several values", func(p *Panel) { p.Query += " AND " + among("api_name", "api") }, ""},
		{"a variable that is not there", func(p *Panel) { p.Query += " AND api_name = " + text("service") }, "no such variable"},
		{"too wide", func(p *Panel) { p.Width = 25 }, "is 25 wide"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := good()
			tt.spoil(&p)
			got := faults(b, p)
			if tt.want == "" && len(got) > 0 || tt.want != "" && !strings.Contains(strings.Join(got, "; "), tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStep(t *testing.T) {
	got := []string{step("SELECT 1 FROM traffic_minute"), step("SELECT 1 FROM a JOIN entity_hour AS e"), step("SELECT day FROM endpoints"), step("SELECT time FROM events")}
	if diff := cmp.Diff([]string{"1m", "1h", "1d", "1m"}, got); diff != "" {
		t.Errorf("step (-want +got):\n%s", diff)
	}
}
