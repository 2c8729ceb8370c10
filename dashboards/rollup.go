package dashboards

import "strings"

// long is a condition: the board's time span is one of days, for which hours are fine enough.
const long = "$__toTime - $__fromTime > 172800"

// traffic is the rollup of requests, by the minute or for long spans by the hour, which is up to sixty times less to read.
const traffic = `(
    SELECT time, api_name, route, method, code, auth_outcome, action, requests FROM traffic_minute WHERE NOT (` + long + `) AND $__timeFilter(time)
    UNION ALL
    SELECT time, api_name, route, method, code, auth_outcome, action, requests FROM traffic_hour
    WHERE ` + long + ` AND time >= toStartOfHour($__fromTime) AND time <= $__toTime
)`

// trafficSeconds is how long a point of a time series over [traffic] is, and trafficPoint its beginning.
const (
	trafficSeconds = "if(" + long + ", greatest(3600, $__interval_s), $__interval_s)"
	trafficPoint   = "toStartOfInterval(m.time, toIntervalSecond(" + trafficSeconds + "))"
)

// step is the shortest interval that makes sense for a query: what the coarsest rollup that it reads is kept by.
func step(query string) string {
	switch {
	case reads(query, "endpoints"):
		return "1d"
	case reads(query, "traffic_minute"):
		return "1m"
	case reads(query, "traffic_hour"), reads(query, "entity_hour"), reads(query, "baselines"):
		return "1h"
	}
	return "1m"
}

// reads tells whether a query names a table after FROM or JOIN.
func reads(query, table string) bool {
	words := strings.FieldsFunc(query, func(r rune) bool { return strings.ContainsRune(" \t\n(),;", r) })
	for i := 1; i < len(words); i++ {
		before := strings.ToUpper(words[i-1])
		if words[i] == table && (before == "FROM" || before == "JOIN") {
			return true
		}
	}
	return false
}
