package rules

// sequenceYAML is the key sequence.
type sequenceYAML struct {
	Span  scalar     `yaml:"span"`
	Steps []stepYAML `yaml:"steps"`
}

type stepYAML struct {
	Name   scalar            `yaml:"name"`
	Filter scalar            `yaml:"filter"`
	Count  scalar            `yaml:"count"`
	Absent scalar            `yaml:"absent"`
	Keep   map[string]scalar `yaml:"keep"`
}

// absenceYAML is the key absence.
type absenceYAML struct {
	Span  scalar `yaml:"span"`
	After scalar `yaml:"after"`
}

// firstSeenYAML is the key first_seen.
type firstSeenYAML struct {
	Value  scalar `yaml:"value"`
	Learn  scalar `yaml:"learn"`
	Forget scalar `yaml:"forget"`
}

// rareYAML is the key rare.
type rareYAML struct {
	Value scalar   `yaml:"value"`
	Peers []scalar `yaml:"peers"`
	Share scalar   `yaml:"share"`
	Least scalar   `yaml:"least"`
	Span  scalar   `yaml:"span"`
}

// formKeys are the keys of the forms, for suggestions.
const formKeys = " sequence absence first_seen rare span steps count absent keep after value learn forget peers share least"
