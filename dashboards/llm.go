package dashboards

// llmAlerts is the condition that rows of alerts AS a are about language models, by the tags that rules have: OWASP's top ten for LLM
// applications and MITRE ATLAS.
const llmAlerts = "$__timeFilter_ms(a.time) AND arrayExists(x -> startsWith(x, 'owasp.llm') OR startsWith(x, 'atlas.'), a.tags)"

// llmRows is the condition of the board's span and choices, over llm_minute AS l.
func llmRows() string {
	return "$__timeFilter(l.time) AND " + among("l.model", "model") + " AND " + among("l.tenant", "tenant")
}

// llmCost is what tokens cost at the board's prices. A price that is no number counts as nothing.
func llmCost() string {
	return "(sum(l.prompt_tokens) * toFloat64OrZero(" + text("prompt_price") + ") + sum(l.completion_tokens) * toFloat64OrZero(" + text("completion_price") + ")) / 1e6"
}

// llm is the board of an AI gateway.
func llm() Board {
	return Board{
		UID: "warder-llm", Title: "AI gateway", Span: "now-24h", Refresh: "1m",
		Description: "Calls of language models: tokens, cost, who spends them, what was refused, and attempts to subvert the models.",
		Variables: []Variable{
			choice("model", "Model", "l.model", "llm_minute AS l WHERE l.time >= now() - toIntervalDay(30)"),
			choice("tenant", "Tenant", "l.tenant", "llm_minute AS l WHERE l.time >= now() - toIntervalDay(30) AND l.tenant != ''"),
			{Name: "prompt_price", Label: "Price of a million prompt tokens", Value: "3"},
			{Name: "completion_price", Label: "Price of a million completion tokens", Value: "15"},
		},
		Links: []string{"warder-attacker", "warder-triage", "warder-baselines"},
		Rows: []Row{
			{Title: "What is used, and is it abused?", Panels: llmFigures()},
			{Title: "Attacks", Panels: llmAttacks()},
			{Title: "Use", Panels: llmUse()},
			{Title: "Who spends it", Panels: llmSpenders()},
		},
	}
}

func llmFigures() []Panel {
	rows := "\nFROM llm_minute AS l\nWHERE " + llmRows()
	return []Panel{
		{Title: "Alerts about models", Kind: Stat, Width: 8, Height: 4, Unit: "none", Columns: []string{"alerts"}, Thresholds: steps(1, 10),
			Description: "Alerts of the span that are tagged owasp.llm… or atlas.…: prompt injection, theft of models, unbounded use. " +
				"If there are any: open the table below, and triage what is of high severity first.",
			Query: "SELECT count() AS alerts\nFROM alerts AS a\nWHERE " + llmAlerts},
		{Title: "Calls that were turned away", Kind: Stat, Width: 8, Height: 4, Unit: "percentunit", Columns: []string{"share"}, Thresholds: steps(0.05, 0.25),
			Description: "The part of calls that were denied (401, 403, failed authentication) or refused by a decision. " +
				"When it rises, see under refusals which of the two: the one is a client without permission, the other Warder at work.",
			Query: "SELECT if(sum(l.requests) = 0, 0, least(1, sum(l.denied + l.refused) / sum(l.requests))) AS share" + rows},
		{Title: "Estimated cost", Kind: Stat, Width: 8, Height: 4, Unit: "short", Columns: []string{"cost"}, Neutral: "what is much depends on the budget",
			Description: "Tokens times the two prices above, which are for a million tokens, in the currency that you think of. If models differ in price: choose one at a time. " +
				"An estimate for finding abuse early; the provider's bill is what counts.",
			Query: "SELECT round(" + llmCost() + ", 2) AS cost" + rows},
	}
}

func llmAttacks() []Panel {
	return []Panel{
		{Title: "Prompt injection and other alerts", Kind: Table, Width: 16, Height: 9, Unit: "none",
			Columns: []string{"time", "severity", "title", "entity", "tags", "rule", "alert"},
			Description: "The newest alerts about models. If it is prompt injection (owasp.llm01): read the alert's evidence and what the model answered; if it is unbounded " +
				"consumption (owasp.llm10): limit the key. The entity leads to its profile, the rule to the triage of its alerts.",
			Links: []Link{{Column: "entity", Title: "Profile", Board: "warder-attacker", Variable: "entity"}, {Column: "rule", Title: "Triage", Board: "warder-triage", Variable: "rule"}},
			Query: "SELECT a.time AS time, toString(a.severity) AS severity, toString(a.title) AS title, arrayStringConcat(mapValues(a.entity), ', ') AS entity,\n" +
				"    arrayStringConcat(arrayFilter(x -> startsWith(x, 'owasp.llm') OR startsWith(x, 'atlas.'), a.tags), ', ') AS tags, toString(a.rule) AS rule, a.id AS alert\n" +
				"FROM alerts AS a\nWHERE " + llmAlerts + "\nORDER BY a.time DESC\nLIMIT 100"},
		{Title: "Alerts by kind of attack", Kind: TimeSeries, Width: 8, Height: 9, Unit: "none", Stack: true, By: "tag", Columns: []string{"time", "tag", "alerts"},
			Description: "Alerts about models by tag; one with several tags counts for each. If one tag comes in a burst, it is a campaign: " +
				"look whether its rule enforces or is still in shadow mode, in the quality of rules.",
			Query: "SELECT " + piece("a.time", 300) + " AS time, arrayJoin(arrayFilter(x -> startsWith(x, 'owasp.llm') OR startsWith(x, 'atlas.'), a.tags)) AS tag, count() AS alerts\n" +
				"FROM alerts AS a\nWHERE " + llmAlerts + "\nGROUP BY time, tag\nORDER BY time"},
	}
}

func llmUse() []Panel {
	series := func(columns, by, where string) string {
		return "SELECT " + piece("l.time", 60) + " AS time, " + columns + "\nFROM llm_minute AS l\nWHERE " + llmRows() + where + "\nGROUP BY time" + by + "\nORDER BY time"
	}
	const spenders = " AND l.tenant IN (SELECT l.tenant FROM llm_minute AS l WHERE $__timeFilter(l.time) GROUP BY l.tenant\n" +
		"    ORDER BY sum(l.prompt_tokens + l.completion_tokens) DESC LIMIT 10)"
	return []Panel{
		{Title: "Tokens a minute by model", Kind: TimeSeries, Width: 8, Height: 8, Unit: "short", Stack: true, By: "model", Columns: []string{"time", "model", "tokens"},
			Description: "Prompt and completion tokens of each model. If it is a model that nobody should use, or a step upwards that stays: see who spends it.",
			Query:       series("toString(l.model) AS model, sum(l.prompt_tokens + l.completion_tokens) * 60 / "+pieceSeconds(60)+" AS tokens", ", model", "")},
		{Title: "Calls a second by model", Kind: TimeSeries, Width: 8, Height: 8, Unit: "reqps", Stack: true, By: "model", Columns: []string{"time", "model", "requests"},
			Description: "Calls of each model. If there are many calls with few tokens: probing or health checks. If there are few with many: large prompts, see below.",
			Query:       series("toString(l.model) AS model, sum(l.requests) / "+pieceSeconds(60)+" AS requests", ", model", "")},
		{Title: "Refusals and errors", Kind: TimeSeries, Width: 8, Height: 8, Unit: "none", Columns: []string{"time", "denied", "refused", "errors"},
			Description: "Calls that were denied (401, 403, failed authentication), refused by a decision of Warder's, or failed (5xx). " +
				"If errors rise and refusals do not: it is the provider or the upstream.",
			Query: series("sum(l.denied) AS denied, sum(l.refused) AS refused, sum(l.errors) AS errors", "", "")},
		{Title: "Time to answer", Kind: TimeSeries, Width: 8, Height: 8, Unit: "ms", By: "route", Columns: []string{"time", "route", "mean"},
			Thresholds: []Threshold{{Color: "green"}, {10000, "yellow"}, {60000, "red"}},
			Description: "Mean time of the routes that lead to the chosen models; streams count until their end. " +
				"When it rises with the tokens, prompts or answers grew; when it rises alone, the provider is slow.",
			Query: "SELECT " + piece("t.time", 60) + " AS time, toString(t.route) AS route, sum(t.duration) / sum(t.requests) / 1e6 AS mean\nFROM traffic_minute AS t\n" +
				"WHERE $__timeFilter(t.time) AND t.route IN (SELECT l.route FROM llm_minute AS l WHERE " + llmRows() + " GROUP BY l.route ORDER BY sum(l.requests) DESC LIMIT 10)\n" +
				"GROUP BY time, route\nORDER BY time"},
		{Title: "Cost an hour by tenant", Kind: TimeSeries, Width: 16, Height: 8, Unit: "short", Stack: true, By: "tenant", Columns: []string{"time", "tenant", "cost"},
			Description: "The estimated cost of an hour at the prices above, for the ten tenants that spend most. If a tenant leaves its habit, it may have lost a key: " +
				"see its users below, and its profile.",
			Query: series("if(l.tenant = '', '(none)', toString(l.tenant)) AS tenant, "+llmCost()+" * 3600 / "+pieceSeconds(60)+" AS cost", ", tenant", spenders)},
	}
}

func llmSpenders() []Panel {
	return []Panel{
		{Title: "Users by tokens", Kind: Table, Judged: "turned_away", Width: 14, Height: 10, Unit: "short", Units: map[string]string{"turned_away": "percentunit"},
			Thresholds: steps(0.05, 0.25),
			Columns:    []string{"principal", "tenant", "requests", "prompt_tokens", "completion_tokens", "cost", "largest_prompt", "turned_away"},
			Description: "The users that spent most tokens. If one spends at night, or many times what its tenant does: limit its key or replace it. " +
				"A click on the user shows its profile.",
			Links: []Link{{Column: "principal", Title: "Profile", Board: "warder-attacker", Variable: "entity"}},
			Query: "SELECT l.principal_id AS principal, toString(l.tenant) AS tenant, sum(l.requests) AS requests, sum(l.prompt_tokens) AS prompt_tokens,\n" +
				"    sum(l.completion_tokens) AS completion_tokens, round(" + llmCost() + ", 2) AS cost, toUInt64(max(l.largest_prompt)) AS largest_prompt,\n" +
				"    least(1, sum(l.denied + l.refused) / sum(l.requests)) AS turned_away\nFROM llm_minute AS l\nWHERE " + llmRows() +
				"\nGROUP BY principal, tenant\nORDER BY sum(l.prompt_tokens + l.completion_tokens) DESC\nLIMIT 100"},
		{Title: "Largest prompts", Kind: Table, Width: 10, Height: 10, Unit: "short",
			Columns: []string{"minute", "principal", "model", "route", "largest_prompt"},
			Description: "The largest prompt of a user, model and minute, in tokens. Very large ones carry whole documents out to a provider, or try to push the " +
				"instructions out of the model's context: read the request in the gateway's log. If nobody needs such prompts: bound the size at the gateway.",
			Links: []Link{{Column: "principal", Title: "Profile", Board: "warder-attacker", Variable: "entity"}},
			// The inner limit keeps the sort small; a minute that has several rows until they are merged still counts once.
			Query: "SELECT t.minute AS minute, t.principal AS principal, t.model AS model, t.route AS route, t.largest AS largest_prompt\nFROM (\n" +
				"    SELECT l.time AS minute, l.principal_id AS principal, toString(l.model) AS model, toString(l.route) AS route, toUInt64(l.largest_prompt) AS largest\n" +
				"    FROM llm_minute AS l\n    WHERE " + llmRows() + "\n    ORDER BY largest DESC\n    LIMIT 1000\n) AS t\n" +
				"ORDER BY largest_prompt DESC\nLIMIT 1 BY minute, principal, model, route\nLIMIT 50"},
	}
}
