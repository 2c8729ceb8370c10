package dashboards

func overview() Board {
	return Board{
		UID: "warder-overview", Title: "Security overview", Span: "now-24h", Refresh: "1m", Tags: []string{"security"},
		Description: "Whether the API is under attack, what is done about it, and where to look next.",
		Links:       []string{"warder-triage", "warder-attacker", "warder-enforcement", "warder-inventory"},
		Rows: []Row{
			{Panels: []Panel{openSevere(5), refusedShare(), inForce(4), deniedShare(), errorShare()}},
			{Title: "What is going on", Panels: []Panel{trafficByOutcome(), alertsBySeverity(10, 8, "$__timeFilter_ms(a.time)")}},
			{Title: "Who, what and where", Panels: []Panel{suspects(), firedRules(), targets(), origins()}},
		},
	}
}

// latestTriage is what people made of each alert last; an alert that nobody touched has no row.
const latestTriage = `(SELECT t.alert AS alert, argMax(t.state, t.time) AS state, argMax(t.verdict, t.time) AS verdict, argMax(t.by, t.time) AS by,
        min(t.time) AS first, max(t.time) AS last FROM triage AS t GROUP BY t.alert)`

func openSevere(width int) Panel {
	return Panel{
		Title: "Open critical and high alerts", Kind: Stat, Width: width, Height: 4, Unit: "short", Columns: []string{"alerts"},
		Description: "Alerts of severity critical or high in this span that nobody has closed. If it is not 0: open the triage board and begin with the oldest critical one.",
		Thresholds:  []Threshold{{Color: "green"}, {1, "orange"}, {10, "red"}},
		Links:       []Link{{Column: "alerts", Title: "Triage them", Board: "warder-triage"}},
		Query: `SELECT uniqExact(a.id) AS alerts
FROM alerts AS a
WHERE $__timeFilter_ms(a.time) AND a.rank >= 3
    AND a.id NOT IN (SELECT alert FROM ` + latestTriage + ` WHERE state = 'closed')`,
	}
}

func refusedShare() Panel {
	return Panel{
		Title: "Refused by decisions", Kind: Stat, Width: 5, Height: 4, Unit: "percentunit", Columns: []string{"refused"},
		Description: "Share of requests that a decision of Warder's blocked, limited or challenged. If this rises without alerts to explain it: a decision " +
			"may be hitting good clients; look at the newest ones on the enforcement board and revoke what is wrong.",
		Thresholds: []Threshold{{Color: "green"}, {0.05, "orange"}, {0.2, "red"}},
		Links:      []Link{{Column: "refused", Title: "Enforcement", Board: "warder-enforcement"}},
		Query: `SELECT sumIf(requests, action IN ('block', 'limit', 'challenge')) / greatest(1, sum(requests)) AS refused
FROM ` + traffic,
	}
}

func deniedShare() Panel {
	return Panel{
		Title: "Denied", Kind: Stat, Width: 5, Height: 4, Unit: "percentunit", Columns: []string{"denied"},
		Description: "Share of requests answered with 401 or 403, or whose authentication failed. If this rises: credentials are being tried or rights probed, " +
			"or a client was released with a mistake; the table of suspects tells which.",
		Thresholds: []Threshold{{Color: "green"}, {0.05, "orange"}, {0.15, "red"}},
		Query: `SELECT sumIf(requests, code IN (401, 403) OR auth_outcome = 'failure') / greatest(1, sum(requests)) AS denied
FROM ` + traffic,
	}
}

func errorShare() Panel {
	return Panel{
		Title: "Server errors", Kind: Stat, Width: 5, Height: 4, Unit: "percentunit", Columns: []string{"errors"},
		Description: "Share of requests answered with 5xx. If this rises together with odd requests: somebody may have found input that breaks the service; " +
			"otherwise tell the team that runs it.",
		Thresholds: []Threshold{{Color: "green"}, {0.01, "orange"}, {0.05, "red"}},
		Query: `SELECT sumIf(requests, code >= 500) / greatest(1, sum(requests)) AS errors
FROM ` + traffic,
	}
}

func trafficByOutcome() Panel {
	return Panel{
		Title: "Requests by outcome", Kind: TimeSeries, Width: 14, Height: 8, Unit: "reqps", Stack: true,
		Columns: []string{"time", "allowed", "denied", "errors", "refused"},
		Description: "Requests a second, each counted once: refused by a decision, denied (401, 403, failed authentication), errors (5xx), and all others. " +
			"If denied or refused stands out: mark that span, and the tables below show who it was.",
		Query: `SELECT ` + trafficPoint + ` AS time, sumIf(m.requests, outcome = 'allowed') / seconds AS allowed, sumIf(m.requests, outcome = 'denied') / seconds AS denied,
    sumIf(m.requests, outcome = 'errors') / seconds AS errors, sumIf(m.requests, outcome = 'refused') / seconds AS refused
FROM (
    SELECT time, requests, multiIf(action IN ('block', 'limit', 'challenge'), 'refused', code IN (401, 403) OR auth_outcome = 'failure', 'denied',
        code >= 500, 'errors', 'allowed') AS outcome, ` + trafficSeconds + ` AS seconds
    FROM ` + traffic + `
) AS m
GROUP BY time, seconds
ORDER BY time`,
	}
}

// alertsBySeverity are the alerts AS a that a condition leaves.
func alertsBySeverity(width, height int, where string) Panel {
	return Panel{
		Title: "Alerts by severity", Kind: TimeSeries, Width: width, Height: height, Unit: "short", Stack: true,
		Columns: []string{"time", "critical", "high", "medium", "low", "info"},
		Description: "Alerts as they were raised. If a wave stands out: mark that span and triage its worst first; if one rule makes most of the waves, " +
			"the rule needs tuning.",
		Query: `SELECT $__timeInterval(a.time) AS time, countIf(a.severity = 'critical') AS critical, countIf(a.severity = 'high') AS high,
    countIf(a.severity = 'medium') AS medium, countIf(a.severity = 'low') AS low, countIf(a.severity = 'info') AS info
FROM alerts AS a
WHERE ` + where + `
GROUP BY time
ORDER BY time`,
	}
}

func suspects() Panel {
	return Panel{
		Title: "Suspects", Kind: Table, Width: 14, Height: 9, Unit: "short",
		Columns: []string{"entity", "kind", "country", "requests", "denied", "refused", "flagged", "alerts", "last_seen"},
		Units:   map[string]string{"last_seen": "dateTimeFromNow"},
		Description: "Clients, users and tenants with the most denied requests and requests that the web application firewall or a threat list flagged. " +
			"If one has neither alerts nor refused requests: open its profile and decide whether a rule or a block is missing.",
		Links: []Link{{Column: "entity", Title: "Profile", Board: "warder-attacker", Variable: "entity"}},
		Query: `SELECT worst.entity AS entity, kind, country, requests, denied, refused, flagged, a.n AS alerts, last_seen
FROM (
    SELECT e.value AS entity, e.kind AS kind, max(e.country) AS country, sum(e.requests) AS requests, sum(e.denied) AS denied, sum(e.refused) AS refused,
        sum(e.flagged) AS flagged, toDateTime(max(e.last_seen), 'UTC') AS last_seen
    FROM entity_hour AS e
    WHERE e.time >= toStartOfHour($__fromTime) AND e.time <= $__toTime AND e.denied + e.flagged > 0
    GROUP BY entity, kind
    ORDER BY sum(e.denied) + sum(e.flagged) DESC, entity
    LIMIT 20
) AS worst
LEFT JOIN (
    SELECT arrayJoin(mapValues(entity)) AS value, count() AS n FROM alerts WHERE $__timeFilter_ms(time) GROUP BY value
) AS a ON a.value = worst.entity
ORDER BY denied + flagged DESC, entity
LIMIT 20`,
	}
}

func firedRules() Panel {
	return Panel{
		Title: "Rules that fired", Kind: Table, Width: 10, Height: 9, Unit: "short", Columns: []string{"severity", "title", "rule", "alerts", "last"},
		Units: map[string]string{"last": "dateTimeFromNow"},
		Description: "Rules by how often they fired, the most severe first. If a rule fires far more than usual: either an attack is going on, or the rule " +
			"meets traffic that it was not written for; its alerts tell.",
		Links: []Link{{Column: "rule", Title: "Its alerts", Board: "warder-triage", Variable: "rule"}},
		Query: `SELECT argMax(a.severity, a.rank) AS severity, any(a.title) AS title, a.rule AS rule, count() AS alerts, toDateTime(max(a.time), 'UTC') AS last
FROM alerts AS a
WHERE $__timeFilter_ms(a.time)
GROUP BY rule
ORDER BY max(a.rank) DESC, alerts DESC
LIMIT 20`,
	}
}

func targets() Panel {
	return Panel{
		Title: "Endpoints under fire", Kind: Table, Width: 14, Height: 8, Unit: "short",
		Columns: []string{"api", "method", "route", "requests", "denied", "refused", "errors", "denied_share"},
		Units:   map[string]string{"denied_share": "percentunit"},
		Description: "Endpoints with the most denied and refused requests. If a high share of a route's requests is denied: it is being tried, or its clients lost " +
			"their rights; the API inventory tells who uses it.",
		Links: []Link{{Column: "route", Title: "API inventory", Board: "warder-inventory"}},
		Query: `SELECT m.api_name AS api, m.method AS method, m.route AS route, sum(m.requests) AS requests,
    sumIf(m.requests, m.code IN (401, 403) OR m.auth_outcome = 'failure') AS denied, sumIf(m.requests, m.action IN ('block', 'limit', 'challenge')) AS refused,
    sumIf(m.requests, m.code >= 500) AS errors, denied / requests AS denied_share
FROM ` + traffic + ` AS m
GROUP BY api, method, route
HAVING denied + refused > 0
ORDER BY denied + refused DESC, route, method
LIMIT 20`,
	}
}

func origins() Panel {
	return Panel{
		Title: "Denied and refused by country", Kind: Gauge, Width: 10, Height: 8, Unit: "short", Columns: []string{"country", "requests"},
		Neutral: "how much is much depends on where an API's clients are",
		Description: "Where denied and refused requests come from, by the address's country. If one country leads where you have no customers: consider " +
			"a rule on source.country.",
		Query: `SELECT if(o.country = '', 'unknown', o.country) AS country, sum(greatest(o.denied, o.refused)) AS requests
FROM origin_minute AS o
WHERE $__timeFilter(o.time)
GROUP BY country
HAVING requests > 0
ORDER BY requests DESC, country
LIMIT 8`,
	}
}
