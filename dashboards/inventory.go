package dashboards

import (
	"fmt"
	"strings"
)

func inventory() Board {
	return Board{
		UID: "warder-inventory", Title: "API inventory and OWASP coverage", Span: "now-30d", Refresh: "15m", Tags: []string{"security", "inventory"},
		Description: "What is really called, since when and by whom, and which of the OWASP API Security Top 10 was seen.",
		Links:       []string{"warder-overview", "warder-triage", "warder-attacker"},
		Variables: []Variable{
			{Name: "api", Label: "API", Multi: true, Query: "SELECT DISTINCT toString(api_name) AS api FROM endpoints WHERE $__dateFilter(day) AND api_name != '' ORDER BY api LIMIT 1000"},
		},
		Rows: []Row{
			{Panels: []Panel{openEndpoints(), newEndpoints(), oldVersions(), idleEndpoints(), knownEndpoints()}},
			{Title: "OWASP API Security Top 10", Panels: []Panel{owasp(), owaspOverTime()}},
			{Title: "Endpoints", Panels: []Panel{newestEndpoints(), openList(), allEndpoints()}},
		},
	}
}

// sinceEver is each endpoint of the chosen APIs with when it was first and last seen at all, and its numbers of the span.
func sinceEver() string {
	return `(
    SELECT n.api_name AS api, n.host AS host, n.method AS method, n.route AS route, n.api_version AS version, toDateTime(min(n.first_seen), 'UTC') AS first_seen, toDateTime(max(n.last_seen), 'UTC') AS last_seen,
        sumIf(n.requests, within) AS requests, sumIf(n.authenticated, within) AS authenticated, sumIf(n.anonymous, within) AS anonymous, sumIf(n.failed, within) AS failed,
        sumIf(n.client_errors, within) AS client_errors, sumIf(n.server_errors, within) AS server_errors, sumIf(n.refused, within) AS refused,
        toUInt64(maxIf(n.largest, within)) AS largest, uniqCombinedMergeIf(12)(n.clients, within) AS clients
    FROM (SELECT *, $__dateFilter(day) AS within FROM endpoints) AS n
    WHERE ` + among("n.api_name", "api") + `
    GROUP BY api, host, method, route, version
)`
}

// answersAnyone is a condition on an endpoint of sinceEver: more requests came without credentials than failed at all, so some of them succeeded.
const answersAnyone = "anonymous > client_errors + server_errors"

func openEndpoints() Panel {
	return Panel{
		Title: "Answer without credentials", Kind: Stat, Width: 5, Height: 4, Unit: "short", Columns: []string{"endpoints"},
		Description: "Endpoints that answered anonymous callers with success in this span. If it is more than you know of: go through the list below, and have " +
			"authentication added to each that is not meant to be public (OWASP API2).",
		Thresholds: []Threshold{{Color: "green"}, {1, "orange"}, {50, "red"}},
		Query:      "SELECT countIf(" + answersAnyone + ") AS endpoints\nFROM " + sinceEver(),
	}
}

func newEndpoints() Panel {
	return Panel{
		Title: "New endpoints", Kind: Stat, Width: 5, Height: 4, Unit: "short", Columns: []string{"endpoints"},
		Description: "Endpoints that were called for the first time in this span. If one is in no release note: it is a shadow API, or somebody guesses paths that " +
			"answer (OWASP API9).",
		Thresholds: []Threshold{{Color: "green"}, {1, "yellow"}, {50, "orange"}},
		Query:      "SELECT countIf(first_seen >= $__fromTime AND first_seen <= $__toTime) AS endpoints\nFROM " + sinceEver(),
	}
}

func oldVersions() Panel {
	return Panel{
		Title: "Old versions in use", Kind: Stat, Width: 5, Height: 4, Unit: "short", Columns: []string{"endpoints"},
		Description: "Endpoints that are still called in another version than the API's newest. If it does not fall after a migration: their clients are in the list; " +
			"old versions are where old holes are (OWASP API9).",
		Thresholds: []Threshold{{Color: "green"}, {1, "yellow"}, {50, "orange"}},
		Query: `SELECT countIf(number < newest AND requests > 0) AS endpoints
FROM (
    SELECT requests, toUInt32OrZero(extract(version, '[0-9]+')) AS number, max(number) OVER (PARTITION BY api) AS newest
    FROM ` + sinceEver() + `
    WHERE version != ''
)`,
	}
}

func idleEndpoints() Panel {
	return Panel{
		Title: "Not called for a week", Kind: Stat, Width: 5, Height: 4, Unit: "short", Columns: []string{"endpoints"},
		Description: "Endpoints that were called once, but not in the week before the end of this span. If nobody needs them: have them switched off, as what nobody " +
			"calls nobody watches.",
		Thresholds: []Threshold{{Color: "green"}, {20, "yellow"}, {200, "orange"}},
		Query:      "SELECT countIf(last_seen < $__toTime - toIntervalDay(7)) AS endpoints\nFROM " + sinceEver(),
	}
}

func knownEndpoints() Panel {
	return Panel{
		Title: "Endpoints", Kind: Stat, Width: 4, Height: 4, Unit: "short", Columns: []string{"endpoints"},
		Neutral:     "an API may be small or large",
		Description: "Endpoints that were called in this span. If it jumps: routes may not be grouped, so that every id makes one; see the route templates in the configuration.",
		Query:       "SELECT countIf(requests > 0) AS endpoints\nFROM " + sinceEver(),
	}
}

// owaspNames are the ten risks of the edition of 2023, in order.
func owaspNames() []string {
	return []string{
		"Broken Object Level Authorization", "Broken Authentication", "Broken Object Property Level Authorization", "Unrestricted Resource Consumption",
		"Broken Function Level Authorization", "Unrestricted Access to Sensitive Business Flows", "Server Side Request Forgery", "Security Misconfiguration",
		"Improper Inventory Management", "Unsafe Consumption of APIs",
	}
}

// owaspRows is SQL of an array of (number, tag, name).
func owaspRows() string {
	rows := make([]string, len(owaspNames()))
	for i, name := range owaspNames() {
		rows[i] = fmt.Sprintf("(%d, 'owasp.api%d', '%s')", i+1, i+1, name)
	}
	return "[" + strings.Join(rows, ",\n        ") + "]"
}

func owasp() Panel {
	return Panel{
		Title: "Seen of the ten risks", Kind: Table, Width: 14, Height: 11, Unit: "short",
		Columns: []string{"risk", "name", "severity", "alerts", "open", "rules", "entities", "last_alert"},
		Units:   map[string]string{"last_alert": "dateTimeFromNow", "risk": "none"},
		Description: "Alerts of this span by the risk that their rule is about, by its tag owasp.api1 to owasp.api10. If a risk that matters to you has never an alert: " +
			"check with `warder rules` that a rule for it is on, and that it sees the fields it needs.",
		Links: []Link{{Column: "risk", Title: "Its alerts", Board: "warder-triage", Variable: "tag"}},
		Query: `SELECT o.2 AS risk, o.3 AS name, worst AS severity, n AS alerts, still AS open, fired AS rules, who AS entities, if(n = 0, NULL, latest) AS last_alert
FROM (SELECT arrayJoin(` + owaspRows() + `) AS o) AS ten
LEFT JOIN (
    SELECT tag, argMax(severity, rank) AS worst, count() AS n, countIf(state != 'closed') AS still, uniq(rule) AS fired, uniq(entity) AS who, toDateTime(max(time), 'UTC') AS latest
    FROM (
        SELECT arrayJoin(a.tags) AS tag, a.severity AS severity, a.rank AS rank, a.rule AS rule, a.entity AS entity, a.time AS time, t.state AS state
        FROM alerts AS a
        LEFT JOIN ` + latestTriage + ` AS t ON t.alert = a.id
        WHERE $__timeFilter_ms(a.time) AND arrayExists(x -> startsWith(x, 'owasp.api'), a.tags)
    )
    GROUP BY tag
) AS seen ON seen.tag = o.2
ORDER BY o.1
LIMIT 10`,
	}
}

func owaspOverTime() Panel {
	return Panel{
		Title: "Alerts by risk", Kind: TimeSeries, Width: 10, Height: 11, Unit: "short", Stack: true, Columns: []string{"time", "risk", "alerts"}, By: "risk",
		Description: "When the risks showed. If one grows from week to week: it is worth a fix in the API, and not only a rule before it.",
		Query: `SELECT $__timeInterval(a.time) AS time, risk, count() AS alerts
FROM alerts AS a
ARRAY JOIN a.tags AS risk
WHERE $__timeFilter_ms(a.time) AND startsWith(risk, 'owasp.api')
GROUP BY time, risk
ORDER BY time, risk`,
	}
}

func newestEndpoints() Panel {
	return Panel{
		Title: "New in this span", Kind: Table, Width: 12, Height: 9, Unit: "short", Columns: []string{"first_seen", "api", "method", "route", "version", "requests", "clients", "anonymous"},
		Units: map[string]string{"first_seen": "dateTimeFromNow"},
		Description: "Endpoints that were first called in this span, newest first. If you do not know one: ask the team that owns the API; if nobody does, somebody " +
			"is probing, and it answers.",
		Query: `SELECT first_seen, api, method, route, version, requests, clients, anonymous
FROM ` + sinceEver() + `
WHERE first_seen >= $__fromTime AND first_seen <= $__toTime
ORDER BY first_seen DESC, route, method
LIMIT 100`,
	}
}

func openList() Panel {
	return Panel{
		Title: "Answer anonymous callers", Kind: Table, Width: 12, Height: 9, Unit: "short", Columns: []string{"api", "method", "route", "anonymous", "requests", "clients", "largest"},
		Units: map[string]string{"largest": "bytes"},
		Description: "Endpoints that succeed without credentials, those that change something first. If one of them writes, or returns much data: close it today. " +
			"An endpoint counts when more anonymous requests came than failed for whatever reason, so some may be missing.",
		Query: `SELECT api, method, route, anonymous, requests, clients, largest
FROM ` + sinceEver() + `
WHERE ` + answersAnyone + `
ORDER BY method IN ('GET', 'HEAD', 'OPTIONS'), anonymous DESC, route
LIMIT 100`,
	}
}

func allEndpoints() Panel {
	return Panel{
		Title: "All endpoints", Kind: Table, Width: 24, Height: 12, Unit: "short",
		Columns: []string{"api", "host", "method", "route", "version", "first_seen", "last_seen", "requests", "clients", "anonymous_share", "failed_share", "error_share", "refused", "largest"},
		Units: map[string]string{
			"first_seen": "dateTimeFromNow", "last_seen": "dateTimeFromNow", "anonymous_share": "percentunit", "failed_share": "percentunit", "error_share": "percentunit", "largest": "bytes",
		},
		Description: "What was called in this span, by requests. Where to look: a high share of failed logins means that it is tried; a high share of 5xx that it breaks; " +
			"a very large answer that it may tell more than it should (OWASP API3).",
		Query: `SELECT api, host, method, route, version, first_seen, last_seen, requests, clients, anonymous / requests AS anonymous_share, failed / requests AS failed_share,
    server_errors / requests AS error_share, refused, largest
FROM ` + sinceEver() + `
WHERE requests > 0
ORDER BY requests DESC, route, method
LIMIT 500`,
	}
}
