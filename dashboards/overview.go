package dashboards

func overview() Board {
	return Board{
		UID: "warder-overview", Title: "Security overview", Span: "now-24h", Refresh: "1m", Tags: []string{"security"},
		Description: "Whether the API is under attack, what is done about it, and where to look next.",
		Links:       []string{"warder-triage", "warder-attacker", "warder-enforcement", "warder-inventory"},
		Rows: []Row{
			{Panels: []Panel{
				{
					Title: "Open critical and high alerts", Kind: Stat, Width: 5, Height: 4, Unit: "short", Columns: []string{"alerts"},
					Description: "Alerts of severity critical or high in this span that nobody has closed. If this rises: open the triage board and begin with the oldest critical one.",
					Thresholds:  []Threshold{{Color: "green"}, {1, "orange"}, {10, "red"}},
					Query: `SELECT count() AS alerts
FROM (SELECT DISTINCT a.id AS id FROM alerts AS a WHERE $__timeFilter_ms(a.time) AND a.rank >= 3)
WHERE id NOT IN (SELECT alert FROM triage GROUP BY alert HAVING argMax(state, time) = 'closed')`,
				},
			}},
		},
	}
}
