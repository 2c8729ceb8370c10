package dashboards

// compliance is the board of evidence for auditors.
func compliance() Board {
	return Board{
		UID: "warder-compliance", Title: "Compliance evidence", Span: "now-30d", Refresh: "",
		Description: "Evidence for PCI DSS v4.0 requirement 10 and the GDPR: logs are complete, kept, reviewed and not altered, and who did what with them.",
		Links:       []string{"warder-pipeline", "warder-enforcement", "warder-triage"},
		Rows: []Row{
			{Title: "Would an auditor object?", Panels: complianceFigures()},
			{Title: "Logs are complete and reviewed", Panels: complianceLogs()},
			{Title: "Logs are kept, and not altered", Panels: complianceKept()},
			{Title: "Who did what", Panels: compliancePeople()},
		},
	}
}

// ledgerGaps counts, by chain, the numbers that the ledger lacks between the first and the last that it has.
const ledgerGaps = "SELECT l.chain AS chain, max(l.seq) - min(l.seq) + 1 - uniqExact(l.seq) AS missing FROM ledger AS l WHERE l.time <= $__toTime GROUP BY chain"

// retentionQuery tells how far back each table goes, which ClickHouse knows of each part without reading rows, and its TTL. Tables of what
// clients did hold personal data, those of what people of the house did are staff's.
const retentionQuery = `SELECT p.name AS table, multiIf(p.name IN ('audit', 'triage'), 'staff', p.name IN ('events', 'entity_hour', 'llm_minute', 'alerts', 'decisions', 'ledger', 'baselines'), 'clients', '') AS personal_data,
    p.oldest AS oldest, greatest(0, dateDiff('day', p.oldest, toDate($__toTime))) AS age, if(s.ttl = 0, 'for ever', concat(toString(intDiv(s.ttl, 86400)), ' days')) AS retention, p.n AS rows
FROM (
    SELECT x.table AS name, min(toDate(parseDateTimeBestEffort(rpad(x.partition, 8, '01')))) AS oldest, sum(x.rows) AS n
    FROM system.parts AS x
    WHERE x.database = currentDatabase() AND x.active AND x.partition != 'tuple()'
    GROUP BY name
) AS p
LEFT JOIN (
    SELECT t.name AS name, toUInt64OrZero(extract(t.engine_full, 'toIntervalSecond\\((\\d+)\\)')) AS ttl
    FROM system.tables AS t
    WHERE t.database = currentDatabase()
) AS s ON s.name = p.name
ORDER BY table
LIMIT 100`

func complianceFigures() []Panel {
	return []Panel{
		{Title: "Minutes without a log", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"minutes"}, Thresholds: steps(1, 60),
			Description: "PCI DSS 10.2.1 (audit logs are enabled and active). Minutes of the span, from the first logged one on, in which no request was logged. " +
				"If there are any, explain them: no traffic at night, or a gateway or tap that stood still.",
			Query: "SELECT if(count() = 0, $__toTime > $__fromTime, greatest(0, dateDiff('minute', min(minute), $__toTime) + 1 - count())) AS minutes\nFROM (\n" +
				"    SELECT t.time AS minute\n    FROM traffic_minute AS t\n    WHERE $__timeFilter(t.time)\n    GROUP BY minute\n)"},
		{Title: "Lost log records", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"lost"}, Thresholds: steps(1, 1000),
			Description: "PCI DSS 10.7.2 (failures of security controls are detected and dealt with). Events, lines and alerts lost for good in the span. " +
				"If there are any, note the cause for the auditor: the pipeline's health names place, reason and time.",
			Query: "SELECT toUInt64(round(sum(g.grown))) AS lost\nFROM (" + growth(pieces, lossRows) + ") AS g"},
		{Title: "Missing ledger entries", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"missing"}, Thresholds: []Threshold{{Color: "green"}, {1, "red"}},
			Description: "PCI DSS 10.3.4 (change detection on audit logs). Numbers that are missing in the chains of the decision ledger, over all that is kept. " +
				"If it is not zero: export the ledger and run `warder audit verify`, and treat it as tampering until it is explained.",
			Query: "SELECT sum(missing) AS missing\nFROM (" + ledgerGaps + ")"},
		{Title: "History of the ledger", Kind: Stat, Width: 6, Height: 4, Unit: "d", Columns: []string{"days"}, Thresholds: []Threshold{{Color: "red"}, {90, "yellow"}, {365, "green"}},
			Description: "PCI DSS 10.5.1 (12 months of audit logs, three of them at hand). Days that the decision ledger goes back. If it is below 365: Warder is younger than that, " +
				"or store.retention.audit is too short.",
			Query: "SELECT if(count() = 0, 0, dateDiff('day', min(l.time), $__toTime)) AS days\nFROM ledger AS l\nWHERE l.time <= $__toTime"},
	}
}

func complianceLogs() []Panel {
	return []Panel{
		{Title: "Completeness by collector", Kind: Table, Judged: "lost", Width: 12, Height: 9, Unit: "none",
			Columns: []string{"instance", "events", "shipped", "lost", "heartbeats", "silent_minutes", "last_event"},
			Units:   map[string]string{"events": "short", "shipped": "short"}, Thresholds: steps(1, 60),
			Description: "PCI DSS 10.2.1, 10.2.2. What the taps of each process saw, what the broker acknowledged, what was lost for good, the heartbeats that prove a quiet tap alive, " +
				"and the minutes without any event. If events were lost or a tap fell silent: look at its gateway's log settings and its spool.",
			Query: completenessQuery()},
		{Title: "Daily review of alerts", Kind: TimeSeries, Width: 12, Height: 9, Unit: "none", Columns: []string{"time", "alerts", "reviewed", "open"},
			Description: "PCI DSS 10.4.1 (daily review) and 10.4.3 (what is found is followed up). Alerts of each day that are not from shadow rules, how many of them people acknowledged or closed, " +
				"and how many are still open. If a day stays open: somebody has to triage it.",
			Query: "SELECT toStartOfDay(a.time) AS time, count() AS alerts, countIf(v.state IN ('acknowledged', 'closed')) AS reviewed, alerts - reviewed AS open\n" +
				"FROM alerts AS a\nLEFT JOIN (" + verdicts + ") AS v ON v.alert = a.id\nWHERE $__timeFilter_ms(a.time) AND a.mode != 'shadow'\nGROUP BY time\nORDER BY time"},
	}
}

func complianceKept() []Panel {
	return []Panel{
		{Title: "Retention, and age of personal data", Kind: Table, Judged: "age", Width: 12, Height: 10, Unit: "none",
			Columns: []string{"table", "personal_data", "oldest", "age", "retention", "rows"}, Units: map[string]string{"age": "d", "rows": "short"},
			Thresholds: []Threshold{{Color: "text"}, {366, "yellow"}, {732, "red"}},
			Description: "PCI DSS 10.5.1 and GDPR Art. 5(1)(e) (storage limitation). The oldest row of each table, how long it is to be kept, and whether it holds personal data of clients or of staff. " +
				"If it is older than your register of processing (Art. 30) allows: shorten store.retention.",
			Query: retentionQuery},
		{Title: "The ledger's chains", Kind: Table, Judged: "missing", Width: 12, Height: 10, Unit: "none", Columns: []string{"chain", "entries", "first", "last", "missing", "keys", "unreadable", "newest"},
			Thresholds: []Threshold{{Color: "green"}, {1, "red"}}, Units: map[string]string{"entries": "short"},
			Description: "PCI DSS 10.3.2, 10.3.4. Each chain of the decision ledger: entries, first and last number, numbers that are missing between them, signing keys. " +
				"This shows gaps; hashes and signatures are checked by `warder audit verify`, whose report is the evidence. If there is a key that nobody knows: it is an incident.",
			Query: "SELECT toString(l.chain) AS chain, uniqExact(l.seq) AS entries, min(l.seq) AS first, max(l.seq) AS last, last - first + 1 - entries AS missing,\n" +
				"    uniqExact(l.key) AS keys, countIf(l.kind = 'ledger.unreadable') AS unreadable, toDateTime(max(l.time), 'UTC') AS newest\nFROM ledger AS l\nWHERE l.time <= $__toTime\nGROUP BY chain\nORDER BY chain\nLIMIT 100"},
	}
}

// completenessQuery puts the figures of each process that has taps side by side.
func completenessQuery() string {
	return `SELECT toString(i.instance) AS instance, toUInt64(sum(events)) AS events, toUInt64(sum(shipped)) AS shipped, toUInt64(sum(lost)) AS lost, toUInt64(sum(heartbeats)) AS heartbeats,
    countIf(i.events = 0) AS silent_minutes, maxIf(i.minute, i.events > 0) AS last_event
FROM (
    SELECT g.instance AS instance, g.piece AS minute, sumIf(g.grown, g.name = 'warder_collector_events_total') AS events,
        sumIf(g.grown, g.name = 'warder_collector_shipped_total') AS shipped, sumIf(g.grown, g.name = 'warder_collector_heartbeats_total') AS heartbeats,
        sumIf(g.grown, g.name IN ('warder_collector_spool_dropped_total', 'warder_gateway_events_lost_total')) AS lost
    FROM (` + growth(minutes, `m.name IN ('warder_collector_events_total', 'warder_collector_shipped_total', 'warder_collector_heartbeats_total',
                'warder_collector_spool_dropped_total', 'warder_gateway_events_lost_total')`) + `) AS g
    GROUP BY instance, minute
) AS i
GROUP BY instance
ORDER BY lost DESC, silent_minutes DESC
LIMIT 100`
}

// noteOf is the note of a ledger's line.
const noteOf = "JSONExtractString(l.line, 'entry', 'note')"

func compliancePeople() []Panel {
	audit := func(where string) string {
		return "SELECT a.time AS time, toString(a.actor) AS actor, toString(a.action) AS action, a.subject AS subject, a.detail AS detail\nFROM audit AS a\nWHERE $__timeFilter_ms(a.time)" +
			where + "\nORDER BY a.time DESC\nLIMIT 500"
	}
	ledger := func(where string) string {
		return "SELECT l.time AS time, if(l.approver != '', l.approver, l.creator) AS person, toString(l.kind) AS kind, toString(l.action) AS action, l.entity AS entity,\n" +
			"    toString(l.mode) AS mode, " + noteOf + " AS note, l.decision AS decision\nFROM ledger AS l\nWHERE $__timeFilter_ms(l.time) AND " + where + "\nORDER BY l.time DESC\nLIMIT 500"
	}
	people := []string{"time", "person", "kind", "action", "entity", "mode", "note", "decision"}
	entries := []string{"time", "actor", "action", "subject", "detail"}
	return []Panel{
		{Title: "Who accessed what", Kind: Table, Width: 12, Height: 10, Unit: "none", Columns: entries,
			Description: "PCI DSS 10.2.1.1, 10.2.1.3 (access to data and to audit logs by persons), 10.2.2. The newest entries of the audit: who did what to what. " +
				"If nobody can explain an access: revoke the token, and ask the person.",
			Query: audit("")},
		{Title: "Requests of data subjects", Kind: Table, Width: 12, Height: 10, Unit: "none", Columns: entries,
			Description: "GDPR Art. 15 (access) and Art. 17 (erasure). What was disclosed about, or erased for, a data subject, when and by whom. " +
				"If a request of your register is missing here, it was not carried out: `warder privacy` does it.",
			Query: audit(" AND (startsWith(a.action, 'privacy') OR positionCaseInsensitive(a.action, 'eras') > 0)")},
		{Title: "Changes by persons", Kind: Table, Width: 12, Height: 10, Unit: "none", Columns: people,
			Description: "PCI DSS 10.2.1.2 (all actions of persons with administrative access). Decisions that persons made, changed, extended or revoked, with their note. " +
				"If there is no note, or the person should not: ask, and see the decision's whole way in the enforcement.",
			Query: ledger("startsWith(l.kind, 'decision.') AND l.kind != 'decision.approved' AND (startsWith(l.creator, 'person:') OR startsWith(l.approver, 'person:'))")},
		{Title: "Switch throws and approvals", Kind: Table, Width: 12, Height: 10, Unit: "none", Columns: people,
			Description: "PCI DSS 10.2.1.2, 10.2.1.6 (stopping and starting of logs and controls), 6.5.1. When the global switch was thrown, to which mode and by whom, and which proposals were approved. " +
				"A switch to observe that nobody threw back leaves the gateways without protection.",
			Query: ledger("l.kind IN ('switch', 'decision.approved')")},
	}
}
