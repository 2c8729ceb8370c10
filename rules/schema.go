package rules

import (
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// ruleYAML is a rule as it is written: one YAML document. Several rules in one file are several documents, parted by "---".
type ruleYAML struct {
	ID          scalar         `yaml:"id"`
	Title       scalar         `yaml:"title"`
	Description scalar         `yaml:"description"`
	Severity    scalar         `yaml:"severity"`
	Tags        []scalar       `yaml:"tags"`
	Filter      scalar         `yaml:"filter"`
	GroupBy     []scalar       `yaml:"group_by"`
	Window      *windowYAML    `yaml:"window"`
	Aggregates  aggregatesYAML `yaml:"aggregates"`
	Condition   scalar         `yaml:"condition"`
	Sequence    *sequenceYAML  `yaml:"sequence"`
	Absence     *absenceYAML   `yaml:"absence"`
	FirstSeen   *firstSeenYAML `yaml:"first_seen"`
	Rare        *rareYAML      `yaml:"rare"`
	Suppress    scalar         `yaml:"suppress"`
	Mode        modeYAML       `yaml:"mode"`
	Respond     []respondYAML  `yaml:"respond"`
	Enforced    scalar         `yaml:"include_enforced"`
	Tests       []testYAML     `yaml:"tests"`

	// See extend.go, except.go and metadata.go.
	Extend         scalar       `yaml:"extend"`
	KeepParent     scalar       `yaml:"keep_parent"`
	FilterAnd      scalar       `yaml:"filter_and"`
	Except         []exceptYAML `yaml:"except"`
	Owner          scalar       `yaml:"owner"`
	Author         scalar       `yaml:"author"`
	License        scalar       `yaml:"license"`
	References     []scalar     `yaml:"references"`
	SourceID       scalar       `yaml:"source_id"`
	FalsePositives []scalar     `yaml:"falsepositives"`
}

type windowYAML struct {
	Size scalar `yaml:"size"`
	Type scalar `yaml:"type"`
	Gap  scalar `yaml:"gap"` // of a session
}

// aggregateYAML is one entry of aggregates: "name: count()", "name: sum(expr)" and so on, or the mapping
// "name: {func: sum, of: expr, where: expr}"; a quantile's has q, too.
type aggregateYAML struct {
	Name               scalar
	Text               scalar // the short form
	Func, Of, Where, Q scalar // the mapping form
}

// aggregatesYAML keeps the written order, in which the values are handed to the condition.
type aggregatesYAML []aggregateYAML

// UnmarshalYAML implements goccy/go-yaml's NodeUnmarshaler.
func (a *aggregatesYAML) UnmarshalYAML(n ast.Node) error {
	var values []*ast.MappingValueNode
	switch v := n.(type) {
	case *ast.MappingNode:
		values = v.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{v}
	default:
		return &placed{n, "want a mapping of names to count(), sum(…), distinct(…) and so on"}
	}
	for _, v := range values {
		agg := aggregateYAML{Name: scalar{Value: v.Key.GetToken().Value, node: v.Key}}
		var err error
		if isMapping(v.Value) {
			var long struct {
				Func  scalar `yaml:"func"`
				Of    scalar `yaml:"of"`
				Where scalar `yaml:"where"`
				Q     scalar `yaml:"q"`
			}
			err = yaml.NodeToValue(v.Value, &long, yaml.Strict())
			agg.Func, agg.Of, agg.Where, agg.Q = long.Func, long.Of, long.Where, long.Q
		} else {
			err = agg.Text.UnmarshalYAML(v.Value)
		}
		if err != nil {
			return err
		}
		*a = append(*a, agg)
	}
	return nil
}

func isMapping(n ast.Node) bool {
	return n.Type() == ast.MappingType || n.Type() == ast.MappingValueType
}

// modeYAML is "shadow", "enforce", "canary 10%" or {canary: 10%}.
type modeYAML struct {
	Mode   scalar
	Canary scalar
}

// UnmarshalYAML implements goccy/go-yaml's NodeUnmarshaler.
func (m *modeYAML) UnmarshalYAML(n ast.Node) error {
	if !isMapping(n) {
		return m.Mode.UnmarshalYAML(n)
	}
	var v struct {
		Canary scalar `yaml:"canary"`
	}
	if err := yaml.NodeToValue(n, &v, yaml.Strict()); err != nil {
		return err
	}
	if !v.Canary.set() {
		return &placed{n, "write shadow, enforce or canary 10%"}
	}
	m.Mode, m.Canary = scalar{Value: "canary", node: n}, v.Canary
	return nil
}

// respondYAML is one answer: exactly one of the keys.
type respondYAML struct {
	Block     *blockYAML     `yaml:"block"`
	Limit     *limitYAML     `yaml:"limit"`
	Challenge *challengeYAML `yaml:"challenge"`
	Log       *blockYAML     `yaml:"log"`
	node      ast.Node
}

type blockYAML struct {
	Scope scopesYAML `yaml:"scope"`
	TTL   scalar     `yaml:"ttl"`
}

type limitYAML struct {
	Scope scopesYAML `yaml:"scope"`
	Rate  scalar     `yaml:"rate"`
	Burst scalar     `yaml:"burst"`
	TTL   scalar     `yaml:"ttl"`
}

type challengeYAML struct {
	Scope  scopesYAML `yaml:"scope"`
	TTL    scalar     `yaml:"ttl"`
	Status scalar     `yaml:"status"`
}

// scopesYAML is one scope, or a list of those that a request must meet together.
type scopesYAML []scalar

// UnmarshalYAML implements goccy/go-yaml's NodeUnmarshaler.
func (s *scopesYAML) UnmarshalYAML(n ast.Node) error {
	nodes := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		nodes = seq.Values
	}
	*s = make(scopesYAML, len(nodes))
	for i, n := range nodes {
		if err := (*s)[i].UnmarshalYAML(n); err != nil {
			return err
		}
	}
	return nil
}

// UnmarshalYAML implements goccy/go-yaml's NodeUnmarshaler.
func (r *respondYAML) UnmarshalYAML(n ast.Node) error {
	type plain respondYAML
	var v plain
	if err := yaml.NodeToValue(n, &v, yaml.Strict()); err != nil {
		return err
	}
	*r = respondYAML(v)
	r.node = n
	answers := 0
	for _, there := range []bool{r.Block != nil, r.Limit != nil, r.Challenge != nil, r.Log != nil} {
		if there {
			answers++
		}
	}
	if answers != 1 {
		return &placed{n, "want one of block: {scope, ttl}, limit: {scope, rate, burst, ttl}, challenge: {scope, ttl, status} and log: {scope, ttl}"}
	}
	return nil
}

// testYAML is one test of the rule.
type testYAML struct {
	Name   scalar       `yaml:"name"`
	Events eventsYAML   `yaml:"events"`
	Expect []expectYAML `yaml:"expect"`
}

type expectYAML struct {
	Group  []scalar          `yaml:"group"`
	Repeat scalar            `yaml:"repeat"` // that many alerts; {i} in the group is the number, from 1
	Values map[string]scalar `yaml:"values"`
}

// eventsYAML is the name of a fixture file or the events themselves.
type eventsYAML struct {
	File   scalar
	Inline []ast.Node
}

// UnmarshalYAML implements goccy/go-yaml's NodeUnmarshaler.
func (e *eventsYAML) UnmarshalYAML(n ast.Node) error {
	if seq, ok := n.(*ast.SequenceNode); ok {
		e.Inline = seq.Values
		return nil
	}
	if err := e.File.UnmarshalYAML(n); err != nil {
		return fmt.Errorf("%w", &placed{n, "want the name of a fixture file or a list of events"})
	}
	return nil
}
