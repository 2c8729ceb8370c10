package dashboards

import "strconv"

// everything is the choice of a variable that narrows nothing.
const everything = "(all)"

// pieceSeconds is the length of a point of a time series: what Grafana asks for, and at least as long as the rows are apart.
func pieceSeconds(least int) string { return "greatest(" + strconv.Itoa(least) + ", $__interval_s)" }

// piece is the beginning of the point of a time series that a column's time falls into.
func piece(column string, least int) string {
	return "toStartOfInterval(" + column + ", toIntervalSecond(" + pieceSeconds(least) + "))"
}

// spanSeconds is how long the board's time span is.
const spanSeconds = "greatest(1, dateDiff('second', $__fromTime, $__toTime))"

// chosen is the condition that a column has the value of the board's variable, or that the variable is left at everything.
func chosen(column, variable string) string {
	value := "${" + variable + ":sqlstring}"
	return "(" + value + " = '" + everything + "' OR " + column + " = " + value + ")"
}

// choices lists the values of a column for a variable whose first choice is everything. from is a table and what follows it.
func choices(column, from string) string {
	return "SELECT arrayJoin(arrayConcat(['" + everything + "'], (SELECT arraySort(groupUniqArray(1000)(toString(" + column + "))) FROM " + from + "))) AS value"
}

// choice is a variable of [choices].
func choice(name, label, column, from string) Variable {
	return Variable{Name: name, Label: label, Query: choices(column, from), Value: everything}
}
