package rules

// checks names every lint check and says what it looks for.
func checks() map[string]string {
	return map[string]string{
		"load":                "The rule cannot be loaded",
		"fixture":             "A test's events cannot be read",
		"missing-description": "The rule says nothing about what it means and what to do",
		"missing-tags":        "The rule has no tags",
		"missing-tests":       "The rule lacks a test that expects an alert, or one that expects none",
		"missing-suppress":    "The rule alerts for every event that fulfils it",
		"short-suppress":      "The rule can alert twice on the same events",
		"missing-group":       "The window is over all traffic together",
		"unused-aggregate":    "The condition does not read an aggregate",
		"over-broad":          "The filter lets in nearly everything",
		"title-style":         "The title does not read well in a list",
		"unknown-tag":         "A tag names no risk or technique that exists",
		"deprecated-tag":      "A tag names something that was withdrawn or is written otherwise",
		"unreachable":         "A condition can never hold",
		"always-true":         "A condition always holds",
		"redundant":           "A condition is implied by another one",
		"duplicate":           "A condition is written twice",
		"duplicate-rule":      "Two rules detect the same",
		"expensive":           "An expression is near the limit of what it may cost",
		"leading-wildcard":    "A pattern begins with a wildcard",
		"no-literal":          "A pattern has no text that must occur",
		"never-enforced":      "The rule reads what it never gets to see",
	}
}

// CheckTitle says what a lint check looks for; the check's own name when it is not known.
func CheckTitle(check string) string {
	if t := checks()[check]; t != "" {
		return t
	}
	return check
}
