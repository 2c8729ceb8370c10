package dashboards

// text is the value of a variable with one value, as a ClickHouse string. The value reaches the statement percent-encoded, so that
// whatever a link or a text box puts into it stays inside the string.
func text(variable string) string {
	return "decodeURLComponent('${" + variable + ":percentencode}')"
}

// several is the values of a variable with several, as an array. Grafana writes them as {a,b}; a value with a comma cannot be told from two.
// The pattern ends in \z, as the plugin hands the condition to JavaScript's replace, to which a dollar and a quote mean something.
func several(variable string) string {
	return "splitByChar(',', replaceRegexpOne(" + text(variable) + ", '^\\\\{(.*)\\\\}\\\\z', '\\\\1'))"
}

// among is a condition: the column, or expression, has one of the values that are chosen for a variable with several, or All are.
func among(column, variable string) string {
	return "$__conditionalAll(has(" + several(variable) + ", toString(" + column + ")), $" + variable + ")"
}
