package dashboards

func attacker() Board {
	return Board{
		UID: "warder-attacker", Title: "Attacker drill-down", Span: "now-7d", Tags: []string{"security", "investigation"},
		Description: "Everything that is known of one client, user or tenant: put its address or name at the top, or come here from another board.",
		Links:       []string{"warder-triage", "warder-enforcement", "warder-overview"},
		Variables:   []Variable{{Name: "entity", Label: "Address, user or tenant"}},
		Rows: []Row{
			{Panels: []Panel{entityAlertCount(), entityShare("denied", "Denied"), entityShare("refused", "Refused by decisions"), entityDistinct(), entityProfile()}},
			{Title: "What it did", Panels: []Panel{entityTimeline(), entityTop("Routes", "route"), entityTop("User agents", "user_agent")}},
			{Title: "What was made of it", Panels: []Panel{entityAlerts(), entityDecisions()}},
			{Title: "Its last requests", Panels: []Panel{entityRequests()}},
		},
	}
}

// entityHours is where the entity's hours are; a client, a user and a tenant of the same name are all shown.
func entityHours() string {
	return `entity_hour AS e
WHERE e.kind IN ('address', 'principal', 'tenant') AND e.value = ` + text("entity") + ` AND e.time >= toStartOfHour($__fromTime) AND e.time <= $__toTime`
}

// entityEvents is where the entity's single requests are, in the last hours in which there were any: so that the sorting key finds them.
func entityEvents() string {
	return `events AS e
WHERE $__timeFilter_ms(e.time)
    AND toStartOfHour(e.time) IN (
        SELECT time FROM entity_hour WHERE value = ` + text("entity") + ` AND time >= toStartOfHour($__fromTime) AND time <= $__toTime
        GROUP BY time ORDER BY time DESC LIMIT 12
    )
    AND (e.source_address = toIPv6OrNull(` + text("entity") + `) OR e.principal_id = ` + text("entity") + ` OR e.tenant = ` + text("entity") + ")"
}

func entityAlertCount() Panel {
	return Panel{
		Title: "Alerts about it", Kind: Stat, Width: 5, Height: 4, Unit: "short", Columns: []string{"alerts"},
		Description: "Alerts in this span whose group names the entity. If there are none although its requests look bad: a rule is missing; begin with what the timeline shows.",
		Thresholds:  []Threshold{{Color: "green"}, {1, "orange"}, {10, "red"}},
		Query: `SELECT uniqExact(id) AS alerts
FROM alerts
WHERE $__timeFilter_ms(time) AND has(mapValues(entity), ` + text("entity") + `)`,
	}
}

func entityShare(column, title string) Panel {
	return Panel{
		Title: title, Kind: Stat, Width: 4, Height: 4, Unit: "percentunit", Columns: []string{column},
		Description: "Share of the entity's requests that were " + column + ". If it is high where other clients' is not: it tries what it may not. If it is high " +
			"and the entity is a known partner: call them before you block.",
		Thresholds: []Threshold{{Color: "green"}, {0.1, "orange"}, {0.5, "red"}},
		Query:      "SELECT sum(e." + column + ") / greatest(1, sum(e.requests)) AS " + column + "\nFROM " + entityHours(),
	}
}

func entityDistinct() Panel {
	return Panel{
		Title: "Spread", Kind: Stat, Width: 11, Height: 4, Unit: "short", Columns: []string{"requests", "routes", "addresses", "users"},
		Neutral: "what is much depends on the kind of client",
		Description: "Its requests, and how many different routes, addresses and users were in them, to within about 2 %. If one address has many users: it is a proxy, " +
			"or somebody tries accounts. If one user has many addresses: the account may be shared or stolen.",
		Query: `SELECT sum(e.requests) AS requests, uniqCombinedMerge(12)(e.routes) AS routes, uniqCombinedMerge(12)(e.addresses) AS addresses,
    uniqCombinedMerge(12)(e.principals) AS users
FROM ` + entityHours(),
	}
}

func entityProfile() Panel {
	return Panel{
		Title: "Profile", Kind: Table, Width: 24, Height: 4, Unit: "short",
		Columns: []string{"kind", "country", "first_seen", "last_seen", "requests", "denied", "not_found", "limited", "refused", "errors", "writes", "flagged", "bytes", "tokens"},
		Units:   map[string]string{"first_seen": "dateTimeAsIso", "last_seen": "dateTimeFromNow", "bytes": "bytes"},
		Description: "What it did in this span, in numbers; flagged is what the web application firewall or a threat list knew. If there are two rows: an address, " +
			"a user or a tenant share the name.",
		Query: `SELECT e.kind AS kind, max(e.country) AS country, toDateTime(min(e.first_seen), 'UTC') AS first_seen, toDateTime(max(e.last_seen), 'UTC') AS last_seen, sum(e.requests) AS requests,
    sum(e.denied) AS denied, sum(e.not_found) AS not_found, sum(e.limited) AS limited, sum(e.refused) AS refused, sum(e.errors) AS errors,
    sum(e.writes) AS writes, sum(e.flagged) AS flagged, sum(e.response_bytes) AS bytes, sum(e.tokens) AS tokens
FROM ` + entityHours() + `
GROUP BY kind
ORDER BY requests DESC
LIMIT 3`,
	}
}

func entityTimeline() Panel {
	return Panel{
		Title: "Timeline", Kind: TimeSeries, Width: 24, Height: 8, Unit: "short", Columns: []string{"time", "requests", "denied", "not_found", "errors", "refused", "flagged"},
		Description: "Its requests by the hour. If denied or not found follow requests closely: it is trying what is there. If requests go on after refused began: " +
			"the decision holds, and the client does not give up.",
		Query: `SELECT $__timeInterval(e.time) AS time, sum(e.requests) AS requests, sum(e.denied) AS denied, sum(e.not_found) AS not_found, sum(e.errors) AS errors,
    sum(e.refused) AS refused, sum(e.flagged) AS flagged
FROM ` + entityHours() + `
GROUP BY time
ORDER BY time`,
	}
}

func entityTop(title, column string) Panel {
	return Panel{
		Title: title, Kind: Table, Width: 12, Height: 8, Unit: "short", Columns: []string{column, "requests", "denied", "share"},
		Units: map[string]string{"share": "percentunit"},
		Description: "What it sent most in the last 12 hours in which it was seen. If one value makes nearly all of it: it is a program, and a rule can tell it " +
			"by that value; if they change with every request, it tries to look like many clients.",
		Raw: "rollups keep an entity's numbers, and not which routes and user agents they are of",
		Query: `SELECT if(e.` + column + ` = '', '(none)', e.` + column + `) AS ` + column + `, count() AS requests, countIf(e.code IN (401, 403) OR e.auth_outcome = 'failure') AS denied,
    requests / sum(requests) OVER () AS share
FROM ` + entityEvents() + `
GROUP BY ` + column + `
ORDER BY requests DESC, ` + column + `
LIMIT 15`,
	}
}

func entityAlerts() Panel {
	return Panel{
		Title: "Alerts", Kind: Table, Width: 12, Height: 9, Unit: "short", Columns: []string{"time", "severity", "state", "title", "rule", "requests", "id"},
		Units: map[string]string{"time": "dateTimeAsIso"},
		Description: "Alerts whose group names the entity, newest first. When you have decided about it: close them together, with one verdict; " +
			"`warder alerts show ID` has the evidence.",
		Links: []Link{{Column: "rule", Title: "All alerts of the rule", Board: "warder-triage", Variable: "rule"}},
		Query: `SELECT toDateTime(a.time, 'UTC') AS time, a.severity AS severity, if(t.state = '', 'open', t.state) AS state, a.title AS title, a.rule AS rule, a.event_count AS requests, a.id AS id
FROM alerts AS a
LEFT JOIN ` + latestTriage + ` AS t ON t.alert = a.id
WHERE $__timeFilter_ms(a.time) AND has(mapValues(a.entity), ` + text("entity") + `)
ORDER BY a.time DESC
LIMIT 50`,
	}
}

func entityDecisions() Panel {
	return Panel{
		Title: "Decisions", Kind: Table, Width: 12, Height: 9, Unit: "none", Columns: []string{"updated", "state", "action", "mode", "rule", "creator", "expires", "note"},
		Units: map[string]string{"updated": "dateTimeAsIso", "expires": "dateTimeAsIso"},
		Description: "What was decided about it, newest change first. If a decision is active and wrong: `warder decisions revoke ID`. If it was blocked again and " +
			"again: consider a longer block, or the account's owner.",
		Query: `SELECT d.updated AS updated, d.state AS state, d.action AS action, d.mode AS mode, d.rule AS rule, d.creator AS creator, toDateTime(d.expires, 'UTC') AS expires, d.note AS note
FROM decisions AS d
WHERE $__timeFilter_ms(d.updated) AND d.value = ` + text("entity") + `
ORDER BY d.updated DESC
LIMIT 50`,
	}
}

func entityRequests() Panel {
	return Panel{
		Title: "Requests", Kind: Table, Width: 24, Height: 12, Unit: "none",
		Columns: []string{"time", "method", "host", "path", "code", "auth", "user", "address", "country", "took", "sent", "decision", "user_agent", "id"},
		Units:   map[string]string{"time": "dateTimeAsIso", "took": "s", "sent": "bytes"},
		Description: "The newest single requests, as they were sent: do not follow what stands in a path. If you need more or other ones: " +
			"`warder events search` takes the same expressions as rules do.",
		Raw: "single requests are what the panel shows",
		Query: `SELECT toDateTime64(e.time, 3, 'UTC') AS time, e.method AS method, e.host AS host, substring(e.path, 1, 300) AS path, e.code AS code, e.auth_outcome AS auth, e.principal_id AS user,
    replaceRegexpOne(toString(e.source_address), '^::ffff:', '') AS address, e.country AS country, e.duration / 1e9 AS took, e.response_size AS sent,
    e.enforced_action AS decision, substring(e.user_agent, 1, 200) AS user_agent, lower(hex(e.id)) AS id
FROM ` + entityEvents() + `
ORDER BY e.time DESC
LIMIT 200`,
	}
}
