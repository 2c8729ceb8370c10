package push

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/dashboards"
	"github.com/warder/warder/internal/store/storetest"
)

// expand replaces the plugin's macros as its backend does for alert queries.
func expand(query string, from, to time.Time) string {
	ms := regexp.MustCompile(`\$__timeFilter_ms\(([^)]+)\)`)
	query = ms.ReplaceAllString(query, fmt.Sprintf("$1 >= fromUnixTimestamp64Milli(%d) AND $1 <= fromUnixTimestamp64Milli(%d)", from.UnixMilli(), to.UnixMilli()))
	s := regexp.MustCompile(`\$__timeFilter\(([^)]+)\)`)
	return s.ReplaceAllString(query, fmt.Sprintf("$1 >= toDateTime(%d) AND $1 <= toDateTime(%d)", from.Unix(), to.Unix()))
}

// answers runs a rule's query on the engine and returns the values, by label value ("" without a label).
func answers(t *testing.T, conn clickhouse.Conn, r *alertRule) map[string]float64 {
	t.Helper()
	now := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// toFloat64 and toString stand for Grafana's conversion: one column of numbers, all others text.
	columns := "'' AS label, toFloat64(q.value)"
	if label := labelOf(r); label != "" {
		columns = "toString(q." + label + "), toFloat64(q.value)"
	}
	rows, err := conn.Query(ctx, "SELECT "+columns+" FROM ("+expand(r.Query, now.Add(-time.Duration(r.Span)*time.Second), now)+") AS q")
	if err != nil {
		t.Fatalf("%s: %v", r.ID, err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]float64{}
	for rows.Next() {
		var label string
		var value float64
		if err := rows.Scan(&label, &value); err != nil {
			t.Fatalf("%s: %v", r.ID, err)
		}
		out[label] = value
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", r.ID, err)
	}
	return out
}

var labelUse = regexp.MustCompile(`\.Labels\.(\w+)`)

// labelOf is the label that the rule's summary speaks of; its query must have that column.
func labelOf(r *alertRule) string {
	if m := labelUse.FindStringSubmatch(r.Summary); m != nil {
		return m[1]
	}
	return ""
}

// troubles are rows that make every rule but no-events and no-figures fire, and rows beside them that must not.
var troubles = []string{
	`INSERT INTO alerts (id, time, rule, severity, mode) VALUES
		('old', now() - 3600, 'r', 'critical', 'enforce'), ('taken', now() - 3600, 'r', 'critical', 'enforce'), ('shadow', now() - 3600, 'r', 'critical', 'shadow'),
		('young', now() - 60, 'r', 'critical', 'enforce'), ('low', now() - 3600, 'r', 'low', 'enforce'), ('reopened', now() - 3600, 'r', 'critical', 'enforce')`,
	`INSERT INTO triage (alert, time, state) VALUES ('taken', now() - 600, 'acknowledged'), ('reopened', now() - 600, 'closed'), ('reopened', now() - 300, 'open')`,
	`INSERT INTO deliveries (id, time, sink, result) VALUES ('a', now() - 60, 'slack', 'failed'), ('b', now() - 60, 'slack', 'delivered'), ('c', now() - 60, 'mail', 'retry'),
		('d', now() - 60, 'slack', 'dropped')`,
	`INSERT INTO metrics (time, instance, name, labels, value) VALUES
		(now() - 200, 'a', 'warder_enforcer_guardrail_total', {'guardrail':'max_share'}, 3), (now() - 100, 'a', 'warder_enforcer_guardrail_total', {'guardrail':'max_share'}, 5),
		(now() - 100, 'a', 'warder_enforcer_guardrail_total', {'guardrail':'never_block'}, 9), (now() - 50, 'a', 'warder_enforcer_guardrail_total', {'guardrail':'never_block'}, 9),
		(now() - 100, 'a', 'warder_enforcer_share_in_use_ratio', {}, 0.9), (now() - 50, 'a', 'warder_enforcer_share_in_use_ratio', {}, 0.04),
		(now() - 200, 'a', 'warder_proof_leaks_total', {}, 100), (now() - 100, 'a', 'warder_proof_leaks_total', {}, 2),
		(now() - 200, 'a', 'warder_bus_lag_records', {'group':'store','partition':'0'}, 90000), (now() - 100, 'b', 'warder_bus_lag_records', {'group':'store','partition':'0'}, 30000),
		(now() - 100, 'a', 'warder_bus_lag_records', {'group':'store','partition':'1'}, 1), (now() - 100, 'a', 'warder_bus_lag_records', {'group':'sinks','partition':'0'}, 0),
		(now() - 500, 'a', 'warder_collector_spool_dropped_total', {'reason':'full'}, 1), (now() - 10, 'a', 'warder_collector_spool_dropped_total', {'reason':'full'}, 8),
		(now() - 500, 'a', 'warder_bus_dead_letters_total', {'stage':'detector'}, 0), (now() - 10, 'a', 'warder_bus_dead_letters_total', {'stage':'detector'}, 4)`,
	`INSERT INTO traffic_minute (time, requests) VALUES (now() - 120, 5)`,
}

// Every rule's query runs on ClickHouse, and says what it should before and after something went wrong.
func TestAlertQueries(t *testing.T) {
	cfg := storetest.Config(t)
	storetest.OpenConfig(t, cfg)
	conn := storetest.Conn(t, cfg)
	got := map[string]map[string]float64{}
	for _, r := range alertRules() {
		for label, v := range answers(t, conn, &r) {
			if fires := v > r.Above; fires != (r.ID == "no-events" || r.ID == "no-figures") {
				t.Errorf("%s %s: %v on empty tables", r.ID, label, v)
			}
		}
	}
	for _, q := range troubles {
		if err := conn.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range alertRules() {
		got[r.ID] = map[string]float64{}
		for label, v := range answers(t, conn, &r) {
			if strings.HasPrefix(r.ID, "no-") {
				if v < 60 || v > 300 {
					t.Errorf("%s: %v seconds", r.ID, v)
				}
				v = -1
			}
			got[r.ID][label] = v
		}
	}
	want := map[string]map[string]float64{
		"unacknowledged": {"": 2},
		"guardrail":      {"max_share": 2, "never_block": 0},
		"refused-good":   {"": 0.04},
		"drift":          {"": 2},
		"sink":           {"slack": 2, "mail": 0},
		"no-events":      {"": -1},
		"no-figures":     {"": -1},
		"lag":            {"store": 30001, "sinks": 0},
		"events-lost":    {"": 7},
		"dead-letters":   {"detector": 4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got: %s", diff)
	}
}

// What Grafana demands of rules, and what people do.
func TestAlertRules(t *testing.T) {
	ids, titles := map[string]bool{}, map[string]bool{}
	for _, r := range alertRules() {
		switch {
		case ids[r.ID] || titles[r.Title] || len(ownedRules+r.ID) > 40:
			t.Errorf("%s: uid or title is not unique, or the uid above 40 characters", r.ID)
		case r.Summary == "" || r.Action == "" || !slices.ContainsFunc(dashboards.Boards(), func(b dashboards.Board) bool { return b.UID == r.Board }):
			t.Errorf("%s: does not say what is wrong, what to do and where it shows", r.ID)
		case strings.Contains(r.Summary+r.Action+messageTemplate, "$"):
			t.Errorf("%s: Grafana's file provisioning takes $ for an environment variable", r.ID)
		case r.Span <= 0 || !strings.Contains(r.Query, "$__timeFilter"):
			t.Errorf("%s: reads without a bound in time", r.ID)
		}
		ids[r.ID], titles[r.Title] = true, true
		if got := r.provisioned(); got.Data[0].RelativeTimeRange.From != time.Duration(r.Span) {
			t.Errorf("%s: the API counts in seconds", r.ID)
		}
	}
}

// expandTemplate fills a template in as Grafana does.
func expandTemplate(t *testing.T, text string, data any) string {
	t.Helper()
	number := func(v float64) string { return fmt.Sprint(v) }
	tmpl, err := template.New("").Option("missingkey=error").Funcs(template.FuncMap{"humanizeDuration": number, "humanizePercentage": number}).Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := tmpl.Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Summaries and messages say what they are about.
func TestTemplates(t *testing.T) {
	type value struct{ Value float64 }
	for _, r := range alertRules() {
		data := map[string]any{"Values": map[string]value{"B": {Value: 4711}}, "Labels": map[string]string{labelOf(&r): "it"}}
		got := expandTemplate(t, r.Summary, data)
		if !strings.Contains(got, "4711") && !strings.Contains(got, "it") || strings.Contains(got, "{{") {
			t.Errorf("%s: %s", r.ID, got)
		}
	}
	type alert struct {
		Status                   string
		Annotations, Labels      map[string]string
		StartsAt                 time.Time
		GeneratorURL, SilenceURL string
	}
	type list []alert
	data := map[string]any{"Status": "resolved", "CommonLabels": map[string]string{"alertname": "Events are lost"}, "Alerts": list{{
		Status: "firing", Annotations: map[string]string{"summary": "S", "description": "D", "dashboard": "/d/warder-pipeline"},
		Labels: map[string]string{"severity": "critical"}, StartsAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), GeneratorURL: "G", SilenceURL: "Q"}}}
	got := expandTemplate(t, messageTemplate+titleCall+"\n"+messageCall, data)
	want := "\n[resolved] Warder: Events are lost\nfiring: S\nD\nSeverity: critical, since 2026-01-02 03:04:05 UTC\nDashboard: /d/warder-pipeline\nRule: G\nSilence: Q\n\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got: %s", diff)
	}
}
