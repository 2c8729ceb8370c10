package push

import (
	"fmt"
	"strings"
)

// alertRule is a Grafana-managed alert rule: a query on ClickHouse that answers one number, or one for each value of its text columns, and
// the number above which it fires. Text columns become labels.
//
// The query has the macros of the ClickHouse plugin; its time span is the last Span seconds. Annotations are Go templates without $,
// which Grafana's file provisioning would take for an environment variable.
type alertRule struct {
	ID       string // uid without the prefix
	Title    string
	Severity string // critical, high, medium
	Summary  string
	Action   string // what to do
	Board    string // uid of the dashboard that shows more
	Query    string
	Span     int // seconds
	Above    float64
	For      string // how long before it fires, in Grafana's shortest form: 0s, 5m
	// Silent says that no data is a reason to fire, and so is a failing query. Only rules that watch over whether there is data have it, so
	// that a ClickHouse that is away makes one alert, not one a rule.
	Silent bool
}

// increase is a query for by how much counters grew in the span, restarts included; label is the counter's label to tell apart, or "".
func increase(label string, names ...string) string {
	outer, inner, group := "", "", ""
	if label != "" {
		outer, inner, group = "s."+label+" AS "+label+", ", "m.labels['"+label+"'] AS "+label+", ", "\nGROUP BY s."+label
	}
	return fmt.Sprintf(`SELECT %ssum(s.grown) AS value
FROM (
    SELECT %sargMin(m.value, m.time) AS first, argMax(m.value, m.time) AS last, if(last >= first, last - first, last) AS grown
    FROM metrics AS m
    WHERE m.name IN ('%s') AND $__timeFilter_ms(m.time)
    GROUP BY m.instance, m.name, m.labels
) AS s%s`, outer, inner, strings.Join(names, "', '"), group)
}

// alertRules are the rules, in the order of Grafana's list.
func alertRules() []alertRule {
	return append(trafficRules(), pipelineRules()...)
}

func trafficRules() []alertRule {
	return []alertRule{
		{ID: "unacknowledged", Title: "Critical alert is not acknowledged", Severity: "critical", Board: "warder-triage", Span: 86400, For: "0s",
			Summary: "{{ .Values.B.Value }} critical alerts of the last day are older than 15 minutes and nobody took them",
			Action:  "Open the triage dashboard, or `warder alerts list --severity critical`, and acknowledge or close each.",
			Query: `SELECT uniqExact(a.id) AS value
FROM alerts AS a
WHERE a.severity = 'critical' AND a.mode != 'shadow' AND $__timeFilter_ms(a.time) AND a.time < now() - INTERVAL 15 MINUTE
    AND a.id NOT IN (
        SELECT t.alert FROM triage AS t WHERE t.time >= now() - INTERVAL 2 DAY GROUP BY t.alert HAVING argMax(t.state, t.time) != 'open'
    )`},
		{ID: "guardrail", Title: "Guardrail held a decision back", Severity: "high", Board: "warder-enforcement", Span: 600, For: "0s",
			Summary: "Guardrail {{ .Labels.guardrail }} turned decisions into proposals: attackers may be getting through",
			Action:  "`warder decisions list --state proposed` shows them; approve or revoke each, and look whether a rule hits good traffic.",
			Query:   increase("guardrail", "warder_enforcer_guardrail_total")},
		{ID: "refused-good", Title: "Decisions touch much good traffic", Severity: "high", Board: "warder-enforcement", Span: 300, For: "2m", Above: 0.03,
			Summary: "Decisions in force touch {{ humanizePercentage .Values.B.Value }} of the requests that succeeded when they were made",
			Action:  "Look for a shared address or a rule that is too wide; revoke what is wrong, or `warder decisions switch observe`.",
			Query: `SELECT max(s.latest) AS value
FROM (
    SELECT argMax(m.value, m.time) AS latest
    FROM metrics AS m
    WHERE m.name = 'warder_enforcer_share_in_use_ratio' AND $__timeFilter_ms(m.time)
    GROUP BY m.instance
) AS s`},
		{ID: "drift", Title: "A gateway does not do what was decided", Severity: "critical", Board: "warder-enforcement", Span: 600, For: "0s",
			Summary: "{{ .Values.B.Value }} drifts or leaks in 10 minutes: blocked clients may be getting through",
			Action:  "`warder decisions gateways` says which gateway is behind and why.",
			Query:   increase("", "warder_proof_drifts_total", "warder_proof_leaks_total")},
		{ID: "sink", Title: "Alerts do not reach people", Severity: "high", Board: "warder-pipeline", Span: 900, For: "0s",
			Summary: "Sink {{ .Labels.sink }} could not deliver {{ .Values.B.Value }} messages in 15 minutes",
			Action:  "The pipeline dashboard shows the receiver's error; check its address, token and rate limit.",
			Query: `SELECT d.sink AS sink, uniqExactIf(d.id, d.result IN ('failed', 'dropped')) AS value
FROM deliveries AS d
WHERE $__timeFilter_ms(d.time)
GROUP BY d.sink`},
	}
}

func pipelineRules() []alertRule {
	return []alertRule{
		{ID: "no-events", Title: "No requests are recorded", Severity: "critical", Board: "warder-pipeline", Span: 3600, For: "2m", Above: 600, Silent: true,
			Summary: "No request was recorded for {{ humanizeDuration .Values.B.Value }}, or ClickHouse does not answer: attacks would go unseen",
			Action:  "Is there traffic at the gateway? Then look at the collector's log, the consumer lag of the store, and ClickHouse.",
			Query: `SELECT dateDiff('second', max(m.time), now('UTC')) AS value
FROM traffic_minute AS m
WHERE $__timeFilter(m.time)`},
		{ID: "no-figures", Title: "Warder's own figures are missing", Severity: "high", Board: "warder-pipeline", Span: 3600, For: "2m", Above: 300,
			Summary: "Warder recorded no figures of its own for {{ humanizeDuration .Values.B.Value }}: the rules about lag, loss and guardrails see nothing",
			Action:  "Is Warder running? If so, look for errors of the store in its log.",
			Query: `SELECT dateDiff('second', max(m.time), now64(3, 'UTC')) AS value
FROM metrics AS m
WHERE m.name = 'warder_bus_lag_records' AND $__timeFilter_ms(m.time)`},
		{ID: "lag", Title: "A consumer falls behind", Severity: "high", Board: "warder-pipeline", Span: 300, For: "5m", Above: 20_000,
			Summary: "Consumer {{ .Labels.consumer }} is {{ .Values.B.Value }} records behind: detection or history is late",
			Action:  "More instances share the work, up to the topic's partitions; a store that is behind waits for ClickHouse.",
			Query: `SELECT s.consumer AS consumer, sum(s.latest) AS value
FROM (
    SELECT m.labels['group'] AS consumer, argMax(m.value, m.time) AS latest
    FROM metrics AS m
    WHERE m.name = 'warder_bus_lag_records' AND $__timeFilter_ms(m.time)
    GROUP BY m.labels
) AS s
GROUP BY s.consumer`},
		{ID: "events-lost", Title: "Events are lost", Severity: "critical", Board: "warder-pipeline", Span: 600, For: "0s",
			Summary: "{{ .Values.B.Value }} requests of the last 10 minutes will never be looked at",
			Action:  "The collector's disk or the broker cannot keep up: the pipeline dashboard shows which; make room, then look at what went by.",
			Query: increase("", "warder_collector_spool_dropped_total", "warder_gateway_events_lost_total",
				"warder_collector_accesslog_lost_files_total", "warder_store_dropped_total")},
		{ID: "dead-letters", Title: "Records cannot be read", Severity: "medium", Board: "warder-pipeline", Span: 600, For: "0s",
			Summary: "{{ .Labels.stage }} put {{ .Values.B.Value }} records into warder.dlq in 10 minutes",
			Action:  "Each dead letter says why. Instances of different versions side by side are a usual reason.",
			Query:   increase("stage", "warder_bus_dead_letters_total")},
	}
}

// Rule tells of one alert rule.
type Rule struct{ UID, Title, Severity, Action string }

// Rules lists the alert rules that are pushed.
func Rules() []Rule {
	var out []Rule
	for _, r := range alertRules() {
		out = append(out, Rule{ownedRules + r.ID, r.Title, r.Severity, r.Action})
	}
	return out
}
