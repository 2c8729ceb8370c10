package dashboards

import "strconv"

// pieceSeconds is the length of a point of a time series: what Grafana asks for, and at least as long as the rows are apart.
func pieceSeconds(least int) string { return "greatest(" + strconv.Itoa(least) + ", $__interval_s)" }

// piece is the beginning of the point of a time series that a column's time falls into.
func piece(column string, least int) string {
	return "toStartOfInterval(" + column + ", toIntervalSecond(" + pieceSeconds(least) + "))"
}

// spanSeconds is how long the board's time span is.
const spanSeconds = "greatest(1, dateDiff('second', $__fromTime, $__toTime))"

// choice is a variable with several values: those of a column. from is a table and what follows it.
func choice(name, label, column, from string) Variable {
	return Variable{Name: name, Label: label, Multi: true, Query: "SELECT DISTINCT toString(" + column + ") AS value FROM " + from + " ORDER BY value LIMIT 1000"}
}
