package dashboards

// Boards lists all boards, in the order in which a person would go through them.
func Boards() []Board {
	return []Board{
		overview(),
		triage(),
		attacker(),
		enforcement(),
		inventory(),
		baselines(),
		llm(),
		pipeline(),
		ruleQuality(),
		compliance(),
	}
}
