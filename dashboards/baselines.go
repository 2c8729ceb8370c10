package dashboards

import (
	"fmt"
)

// weeksKnown is how many weeks before an hour its expectation is taken from.
const weeksKnown = 8

// hourly compares hours with the same hour of the week in the weeks before.
type hourly struct {
	from  string // a table of hours
	where string // a condition over its columns, of the table AS t
	key   string // columns that part the comparison, separated by commas; "" for none
	value string // what is compared, over t's columns
	least string // SQL over middle: a spread that is never called unusual
	quiet bool   // an hour without rows is a zero, and not unknown
	last  bool   // only the last whole hour of the span, and not each hour
}

// sql is a select of key, time, seen, known (weeks), middle, spread, low, high and score. The middle is the median of the weeks before; the
// spread is the median distance from it, scaled to a standard deviation of normal values. low and high are three spreads away, score is the
// distance in spreads. They are NULL where no week is known.
func (h hourly) sql() string {
	key, before := "", "groupArrayIf(n, week > 0)"
	if h.key != "" {
		key = h.key + ", "
	}
	if h.quiet {
		before = "arrayResize(groupArrayIf(n, week > 0), known, toFloat64(0))"
	}
	return fmt.Sprintf(`SELECT %[1]stime, sumIf(n, week = 0) AS seen, max(week) AS known, %[2]s AS before,
        if(empty(before), NULL, arrayReduce('quantileExactInclusive(0.5)', before)) AS middle,
        greatest(1.4826 * arrayReduce('quantileExactInclusive(0.5)', arrayMap(x -> abs(x - assumeNotNull(middle)), before)), %[3]s) AS spread,
        greatest(0, middle - 3 * spread) AS low, middle + 3 * spread AS high, (seen - middle) / spread AS score
    FROM (%[4]s)
    GROUP BY %[1]stime`, key, before, h.least, h.weeks(key))
}

// weeks is a select of key, time, week and n: the value n that the hour had so many weeks before the time.
func (h hourly) weeks(key string) string {
	const until = "toStartOfHour($__toTime)"
	const last = until + " - toIntervalHour(1)"
	hours := func(span string) string {
		return fmt.Sprintf(`SELECT %stoStartOfHour(t.time) AS hour, toFloat64(%s) AS n FROM %s AS t WHERE %s AND %s GROUP BY %shour`,
			key, h.value, h.from, span, h.where, key)
	}
	if h.last {
		span := fmt.Sprintf("t.time IN (SELECT arrayJoin(arrayMap(w -> %s - toIntervalWeek(w), range(0, %d))))", last, weeksKnown+1)
		return fmt.Sprintf("SELECT %s%s AS time, intDiv(dateDiff('hour', hour, time), 168) AS week, n FROM (%s)", key, last, hours(span))
	}
	first := "least(toStartOfHour($__fromTime), " + last + ")"
	span := fmt.Sprintf("t.time >= %s - toIntervalWeek(%d) AND t.time < %s", first, weeksKnown, until)
	return fmt.Sprintf(`SELECT %[1]shour + toIntervalWeek(week) AS time, week, n
        FROM (SELECT *, arrayJoin(range(0, %[2]d)) AS week FROM (%[3]s))
        WHERE time >= %[4]s AND time < %[5]s`, key, weeksKnown+1, hours(span), first, until)
}

// requestsByHour and deniedByHour are what the board's own expectations are about. A count is called unusual when it is more than noise of
// counting and more than a tenth away; a share of denied requests when it is more than a percentage point away.
func requestsByHour() hourly {
	return hourly{from: "traffic_hour", where: among("t.api_name", "api") + " AND " + among("t.route", "route"), value: "sum(t.requests)",
		least: "greatest(1, sqrt(assumeNotNull(middle)), assumeNotNull(middle) / 10)", quiet: true}
}

func deniedByHour() hourly {
	h := requestsByHour()
	h.value = "sumIf(t.requests, t.code IN (401, 403) OR t.auth_outcome = 'failure') / sum(t.requests)"
	h.least, h.quiet = "0.01", false
	return h
}

// endpointsNow and entitiesNow compare the last whole hour, one by one.
func endpointsNow() hourly {
	h := requestsByHour()
	h.key, h.last = "api_name, route", true
	return h
}

func entitiesNow() hourly {
	const last = "toStartOfHour($__toTime) - toIntervalHour(1)"
	h := requestsByHour()
	h.from, h.key, h.last = "entity_hour", "kind, value", true
	h.where = "(t.kind, t.value) IN (SELECT b.kind, b.value FROM entity_hour AS b WHERE b.time = " + last +
		" GROUP BY b.kind, b.value ORDER BY sum(b.requests) DESC LIMIT 2000)"
	return h
}

// bandColumns are those of a table of comparisons after its key.
func bandColumns(key ...string) []string {
	return append(key, "requests", "expected", "low", "high", "deviation", "weeks")
}

const bandSelect = "toUInt64(seen) AS requests, round(middle) AS expected, round(low) AS low, round(high) AS high, round(score, 1) AS deviation, known AS weeks"

// learnedOne is the condition that narrows baselines AS b to one series: the one of the chosen entity that stood out most in the span.
const learnedOne = `(b.model, b.kind, b.entity, b.route) = (
    SELECT argMax((c.model, c.kind, c.entity, c.route), c.score) FROM baselines AS c WHERE $__timeFilter(c.time) AND `

// baselines is the board that shows values against what was expected of them.
func baselines() Board {
	return Board{
		UID: "warder-baselines", Title: "Behaviour baselines", Span: "now-7d", Refresh: "5m",
		Description: "What is unusual for the hour of the week, and what learned models find unusual: values against the band that was expected.",
		Variables: []Variable{
			choice("api", "API", "e.api_name", "endpoints AS e WHERE e.api_name != ''"),
			choice("route", "Route", "e.route", "endpoints AS e WHERE e.route != '' AND "+among("e.api_name", "api")),
			choice("model", "Learned model", "b.model", "baselines AS b"),
			{Name: "entity", Label: "Entity", Multi: true, Query: "SELECT b.entity AS value FROM baselines AS b WHERE $__timeFilter(b.time) AND " + among("b.model", "model") + " GROUP BY value ORDER BY max(b.score) DESC LIMIT 500"},
		},
		Links: []string{"warder-attacker", "warder-inventory", "warder-rules"},
		Rows: []Row{
			{Title: "Is anything unusual?", Panels: baselineFigures()},
			{Title: "Against the same hour of earlier weeks", Panels: baselineTraffic()},
			{Title: "Who and what stands out", Panels: baselineTables()},
			{Title: "Learned models", Panels: baselineModels()},
		},
	}
}

func baselineFigures() []Panel {
	return []Panel{
		{Title: "Hours outside the band", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"hours"},
			Description: "Hours of the span in which the requests of the chosen API and route left the band of the same hour of the week before. " +
				"If it is a single hour: often a release or a campaign. If it is more: look below which routes and clients made the difference.",
			Thresholds: steps(1, 6),
			Query:      "SELECT countIf(seen > high OR seen < low) AS hours\nFROM (" + requestsByHour().sql() + ")"},
		{Title: "Hours with unusual refusals", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"hours"},
			Description: "Hours of the span in which the share of denied requests (401, 403, failed authentication) was above its band. " +
				"If it is not a broken client or an expired certificate, somebody is guessing: open the alert triage.",
			Thresholds: steps(1, 3),
			Query:      "SELECT countIf(seen > high) AS hours\nFROM (" + deniedByHour().sql() + ")"},
		{Title: "Windows that models call unusual", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"windows"},
			Description: "Entities and windows outside the band that a learned model expected. Zero with no model in use. " +
				"When it rises, start with the highest scores in the table of learned models.",
			Thresholds: steps(1, 50),
			Query: "SELECT count() AS windows FROM baselines AS b\nWHERE $__timeFilter(b.time) AND (b.value > b.high OR b.value < b.low) AND " +
				among("b.model", "model")},
		{Title: "Weeks of history", Kind: Stat, Width: 6, Height: 4, Unit: "none", Columns: []string{"weeks"},
			Description: "How far back the hourly figures go. Below two weeks a band rests on a single hour, and nothing should be concluded from it alone; " +
				"from four on it is sound. If it stays low, retention of the rollups is too short.",
			Thresholds: []Threshold{{Color: "red"}, {1, "yellow"}, {4, "green"}},
			Query:      "SELECT round(dateDiff('hour', min(t.time), $__toTime) / 168, 1) AS weeks FROM traffic_hour AS t"},
	}
}

func baselineTraffic() []Panel {
	band := func(columns string, h hourly) string {
		return "SELECT time, " + columns + "\nFROM (" + h.sql() + ")\nORDER BY time"
	}
	return []Panel{
		{Title: "Requests an hour against the band", Kind: TimeSeries, Width: 12, Height: 9, Unit: "short",
			Columns: []string{"time", "requests", "expected", "low", "high"},
			Description: "Requests of the chosen API and route, the median of the same hour in up to eight weeks before, and the band of three robust " +
				"standard deviations around it. If it is above: a campaign, a scraper or a flood. If it is below: an outage, or a gateway whose log does not arrive.",
			Query: band("seen AS requests, middle AS expected, low, high", requestsByHour())},
		{Title: "Denied share against the band", Kind: TimeSeries, Width: 12, Height: 9, Unit: "percentunit",
			Columns: []string{"time", "denied", "expected", "low", "high"},
			Description: "The part of requests that were answered with 401 or 403 or failed to authenticate, and its band from the same hour of earlier weeks. " +
				"If it rises with steady traffic: somebody guesses credentials or probes permissions; look at the clients that stand out.",
			Query: band("seen AS denied, middle AS expected, low, high", deniedByHour())},
	}
}

func baselineTables() []Panel {
	deviation := []Threshold{{Color: "green"}, {3, "yellow"}, {6, "red"}}
	return []Panel{
		{Title: "Routes furthest from what is usual", Kind: Table, Judged: "deviation", Width: 12, Height: 10, Unit: "short", Thresholds: deviation,
			Columns: bandColumns("api_name", "route"), Units: map[string]string{"deviation": "none", "weeks": "none"},
			Description: "The last whole hour of the span, route by route, against the same hour of earlier weeks. Deviation is in robust standard deviations: " +
				"beyond 3 is outside the band. If a route is red: choose it above to see how it went there.",
			Query: "SELECT toString(api_name) AS api_name, toString(route) AS route, " + bandSelect + "\nFROM (" + endpointsNow().sql() + ")\n" +
				"WHERE known > 0\nORDER BY abs(score) DESC\nLIMIT 30"},
		{Title: "Clients furthest from what is usual", Kind: Table, Judged: "deviation", Width: 12, Height: 10, Unit: "short", Thresholds: deviation,
			Columns: bandColumns("kind", "entity"), Units: map[string]string{"deviation": "none", "weeks": "none"},
			Description: "The 2,000 busiest addresses, users and tenants of the last whole hour against their own same hour of earlier weeks; who has no history is not listed. " +
				"If it is beyond 3, it is outside the band: click on the entity for its profile.",
			Links: []Link{{Column: "entity", Title: "Profile", Board: "warder-attacker", Variable: "entity"}},
			Query: "SELECT toString(kind) AS kind, value AS entity, " + bandSelect + "\nFROM (" + entitiesNow().sql() + ")\n" +
				"WHERE known > 0\nORDER BY score DESC\nLIMIT 50"},
	}
}

func baselineModels() []Panel {
	one := learnedOne + among("c.model", "model") + " AND " + among("c.entity", "entity") + ")"
	return []Panel{
		{Title: "Outside the band of learned models", Kind: Table, Judged: "score", Width: 24, Height: 9, Unit: "short",
			Thresholds: []Threshold{{Color: "green"}, {3, "yellow"}, {6, "red"}},
			Columns:    []string{"time", "model", "kind", "entity", "route", "value", "expected", "low", "high", "score"},
			Units:      map[string]string{"score": "none"},
			Description: "What learned models found furthest outside the band they expected, highest score first. If one is high: read the entity's profile before you act; " +
				"a score says unusual, not hostile. Empty when no rule uses a model, or nothing left its band.",
			Links: []Link{{Column: "entity", Title: "Profile", Board: "warder-attacker", Variable: "entity"}},
			Query: "SELECT b.time AS time, toString(b.model) AS model, toString(b.kind) AS kind, b.entity AS entity, toString(b.route) AS route, b.value AS value,\n" +
				"    b.expected AS expected, b.low AS low, b.high AS high, round(b.score, 2) AS score\nFROM baselines AS b\n" +
				"WHERE $__timeFilter(b.time) AND (b.value > b.high OR b.value < b.low) AND " + among("b.model", "model") + " AND " + among("b.entity", "entity") +
				"\nORDER BY score DESC\nLIMIT 100"},
		{Title: "Highest score over time", Kind: TimeSeries, Width: 8, Height: 9, Unit: "none", By: "model", Columns: []string{"time", "model", "score"},
			Thresholds: []Threshold{{Color: "green"}, {3, "yellow"}, {6, "red"}},
			Description: "The highest score of each model. If all models rise together: it is a change of traffic rather than to one client: " +
				"check the traffic against its band, and releases of that day.",
			Query: "SELECT " + piece("b.time", 300) + " AS time, toString(b.model) AS model, max(b.score) AS score\nFROM baselines AS b\n" +
				"WHERE $__timeFilter(b.time) AND " + among("b.model", "model") + " AND " + among("b.entity", "entity") + "\nGROUP BY time, model\nORDER BY time"},
		{Title: "The chosen entity against its band", Kind: TimeSeries, Width: 8, Height: 9, Unit: "short",
			Columns: []string{"time", "value", "expected", "low", "high"},
			Description: "What a model saw and expected of the entity named above, or of the one with the highest score in the span when none is named. " +
				"If it is a single peak: look what happened then. If it is a new level: the model learns a new habit, or the account changed hands.",
			Query: "SELECT " + piece("b.time", 60) + " AS time, max(b.value) AS value, avg(b.expected) AS expected, min(b.low) AS low, max(b.high) AS high\n" +
				"FROM baselines AS b\nWHERE $__timeFilter(b.time) AND " + one + "\nGROUP BY time\nORDER BY time"},
		{Title: "History a week", Kind: Bars, Width: 8, Height: 9, Unit: "none", Columns: []string{"week", "hours"},
			Thresholds: []Threshold{{Color: "red"}, {120, "yellow"}, {160, "green"}},
			Description: "Hours with traffic in each week before the end of the span, of 168. If a week is short, its hours' bands rest on the other weeks: " +
				"look in the pipeline's health whether Warder was down, or the gateway.",
			Query: fmt.Sprintf("SELECT concat(toString(ago), ' weeks ago') AS week, hours\nFROM (\n    SELECT intDiv(dateDiff('hour', t.time, $__toTime), 168) AS ago, uniqExact(t.time) AS hours\n"+
				"    FROM traffic_hour AS t\n    WHERE t.time >= $__toTime - toIntervalWeek(%d) AND t.time <= $__toTime\n    GROUP BY ago\n)\nORDER BY ago DESC", weeksKnown)},
	}
}

// steps is green, then yellow and red from the values on.
func steps(yellow, red float64) []Threshold {
	return []Threshold{{Color: "green"}, {yellow, "yellow"}, {red, "red"}}
}
