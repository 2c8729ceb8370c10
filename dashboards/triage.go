package dashboards

func triage() Board {
	return Board{
		UID: "warder-triage", Title: "Alert triage", Span: "now-7d", Refresh: "1m", Tags: []string{"security", "alerts"},
		Description: "What is to be looked at now, and how well that goes.",
		Links:       []string{"warder-overview", "warder-attacker", "warder-enforcement"},
		Variables: []Variable{
			{Name: "severity", Label: "Severity", Multi: true, Query: "SELECT arrayJoin(['critical', 'high', 'medium', 'low', 'info']) AS severity"},
			{Name: "rule", Label: "Rule", Multi: true, Query: "SELECT DISTINCT toString(rule) AS rule FROM alerts WHERE $__timeFilter_ms(time) ORDER BY rule LIMIT 1000"},
			{Name: "tag", Label: "Tag", Multi: true, Query: "SELECT DISTINCT arrayJoin(tags) AS tag FROM alerts WHERE $__timeFilter_ms(time) ORDER BY tag LIMIT 1000"},
		},
		Rows: []Row{
			{Panels: []Panel{oldestOpen(), openNow(), firstLook(), falsePositives()}},
			{Title: "To do", Panels: []Panel{openAlerts()}},
			{Title: "How it goes", Panels: []Panel{alertsByState(), alertsBySeverity(12, 9, chosenAlerts()), people(), closedAlerts()}},
		},
	}
}

// chosenAlerts is a condition on alerts AS a: what the board's variables leave.
func chosenAlerts() string {
	return "$__timeFilter_ms(a.time) AND " + among("a.severity", "severity") + "\n    AND " + among("a.rule", "rule") +
		"\n    AND $__conditionalAll(hasAny(a.tags, " + several("tag") + "), $tag)"
}

// withState is each alert that the variables leave, once, with what people made of it.
func withState() string {
	return `(
    SELECT a.id AS id, a.time AS time, a.rank AS rank, a.severity AS severity, a.title AS title, a.rule AS rule, a.mode AS mode, a.event_count AS events, a.entity AS entity,
        if(t.state = '', 'open', t.state) AS state, t.verdict AS verdict, t.by AS by, t.first AS first, t.last AS last
    FROM alerts AS a
    LEFT JOIN ` + latestTriage + ` AS t ON t.alert = a.id
    WHERE ` + chosenAlerts() + `
    LIMIT 1 BY a.id
)`
}

// mainEntity is what of an alert's group a person would call the offender.
const mainEntity = `arrayFirst(v -> v != '', [entity['source.address'], entity['principal.id'], entity['principal.tenant'], arrayElement(mapValues(entity), 1)])`

func oldestOpen() Panel {
	return Panel{
		Title: "Oldest open severe alert", Kind: Stat, Width: 6, Height: 4, Unit: "s", Columns: []string{"age"},
		Description: "How long the oldest critical or high alert has been waiting that nobody has closed. If it is red: take that alert now; it is the first of the list below.",
		Thresholds:  []Threshold{{Color: "green"}, {3600, "orange"}, {14400, "red"}},
		Query:       "SELECT if(count() = 0, 0, dateDiff('second', min(time), $__toTime)) AS age\nFROM " + withState() + "\nWHERE state != 'closed' AND rank >= 3",
	}
}

func openNow() Panel {
	return Panel{
		Title: "Open alerts", Kind: Stat, Width: 8, Height: 4, Unit: "short", Columns: []string{"critical", "high", "medium", "low", "info"},
		Neutral:     "the colours are those of the severities",
		Description: "Alerts in this span that nobody has closed, by severity. If the low ones pile up: close them in bulk with a verdict, and have their rules tuned.",
		Query: `SELECT countIf(severity = 'critical') AS critical, countIf(severity = 'high') AS high, countIf(severity = 'medium') AS medium,
    countIf(severity = 'low') AS low, countIf(severity = 'info') AS info
FROM ` + withState() + `
WHERE state != 'closed'`,
	}
}

func firstLook() Panel {
	return Panel{
		Title: "Time until somebody looks", Kind: Stat, Width: 5, Height: 4, Unit: "s", Columns: []string{"median"},
		Description: "Median time from an alert of medium or more until somebody first changed its state. If this rises: there are more alerts than people; " +
			"suppress or tune the rules with the most false positives.",
		Thresholds: []Threshold{{Color: "green"}, {1800, "orange"}, {14400, "red"}},
		Query:      "SELECT quantileExact(0.5)(greatest(0, dateDiff('second', time, first))) AS median\nFROM " + withState() + "\nWHERE toUnixTimestamp(first) > 0 AND rank >= 2",
	}
}

func falsePositives() Panel {
	return Panel{
		Title: "False positives", Kind: Stat, Width: 5, Height: 4, Unit: "percentunit", Columns: []string{"share"},
		Description: "Share of the closed alerts whose verdict is false positive. If this rises: look below which rules they come from, and tune those or put them back into shadow.",
		Thresholds:  []Threshold{{Color: "green"}, {0.2, "orange"}, {0.5, "red"}},
		Query:       "SELECT countIf(verdict = 'false_positive') / greatest(1, countIf(verdict != '')) AS share\nFROM " + withState() + "\nWHERE state = 'closed'",
	}
}

func openAlerts() Panel {
	return Panel{
		Title: "Open alerts, worst and oldest first", Kind: Table, Width: 24, Height: 13, Unit: "short",
		Columns: []string{"severity", "waiting", "state", "title", "entity", "rule", "mode", "requests", "by", "id"},
		Units:   map[string]string{"waiting": "s"},
		Description: "Alerts that nobody has closed. Where to begin: at the top. Open the entity's profile, decide, then `warder alerts ack ID` or " +
			"`warder alerts close ID --verdict ...`; a mode of shadow means that Warder did nothing by itself.",
		Links: []Link{{Column: "entity", Title: "Profile", Board: "warder-attacker", Variable: "entity"}},
		Query: `SELECT severity, greatest(0, dateDiff('second', time, $__toTime)) AS waiting, state, title, ` + mainEntity + ` AS entity, rule, mode, events AS requests, by, id
FROM (SELECT * FROM ` + withState() + ` WHERE state != 'closed' ORDER BY rank DESC, time LIMIT 200)
ORDER BY rank DESC, time
LIMIT 200`,
	}
}

func alertsByState() Panel {
	return Panel{
		Title: "Alerts by rule and state", Kind: Bars, Width: 12, Height: 9, Unit: "short", Stack: true, Columns: []string{"rule", "open", "acknowledged", "closed"},
		Description: "The rules with the most alerts, and how far people are with them. If one bar is mostly red: nobody feels responsible for that rule's alerts; name somebody.",
		Query: `SELECT rule, countIf(state = 'open') AS open, countIf(state = 'acknowledged') AS acknowledged, countIf(state = 'closed') AS closed
FROM ` + withState() + `
GROUP BY rule
ORDER BY count() DESC, rule
LIMIT 12`,
	}
}

func people() Panel {
	return Panel{
		Title: "Who works on alerts", Kind: Table, Width: 10, Height: 8, Unit: "short", Columns: []string{"by", "acknowledged", "closed", "median_to_close"},
		Units:       map[string]string{"median_to_close": "s"},
		Description: "People and tokens, by the alerts whose state they changed last. If one holds many acknowledged alerts: ask whether they need help.",
		Query: `SELECT by, countIf(state = 'acknowledged') AS acknowledged, countIf(state = 'closed') AS closed,
    if(closed = 0, NULL, quantileExactIf(0.5)(greatest(0, dateDiff('second', time, last)), state = 'closed')) AS median_to_close
FROM ` + withState() + `
WHERE by != ''
GROUP BY by
ORDER BY closed DESC, by
LIMIT 50`,
	}
}

func closedAlerts() Panel {
	return Panel{
		Title: "Closed last", Kind: Table, Width: 14, Height: 8, Unit: "short", Columns: []string{"closed", "severity", "verdict", "title", "entity", "rule", "by"},
		Units:       map[string]string{"closed": "dateTimeFromNow"},
		Description: "What was decided last. When the same rule and entity come back as false positives: add an exception to the rule rather than closing them again.",
		Links:       []Link{{Column: "entity", Title: "Profile", Board: "warder-attacker", Variable: "entity"}},
		Query: `SELECT last AS closed, severity, verdict, title, ` + mainEntity + ` AS entity, rule, by
FROM (SELECT * FROM ` + withState() + ` WHERE state = 'closed' ORDER BY last DESC LIMIT 100)
ORDER BY closed DESC
LIMIT 100`,
	}
}
