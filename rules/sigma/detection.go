package sigma

import (
	"strings"
)

// detection is the detection section of a rule.
type detection struct {
	at    *node
	names []string // the search identifiers, in order
	known map[string]expr
}

func newDetection(rule *node) (*detection, error) {
	at := rule.get("detection")
	if at == nil || at.kind != mapNode {
		return nil, refuse(rule, "has no detection section")
	}
	d := &detection{at: at, known: map[string]expr{}}
	for _, k := range at.keys {
		if k.text != "condition" && k.text != "timeframe" {
			d.names = append(d.names, k.text)
		}
	}
	if len(d.names) == 0 {
		return nil, refuse(at, "detection has no search identifier")
	}
	return d, nil
}

// identifier is the meaning of a search identifier, with its name as a comment.
func (d *detection) identifier(at *node, name string) (expr, error) {
	if e, ok := d.known[name]; ok {
		return e, nil
	}
	n := d.at.get(name)
	if n == nil || name == "condition" || name == "timeframe" {
		return expr{}, refuse(at, "condition names %.60q, which detection does not have", name)
	}
	e, err := search(n, name)
	if err != nil {
		return expr{}, err
	}
	e.note = printable(name, 80)
	d.known[name] = e
	return e, nil
}

// search is the meaning of a search identifier's value: a map is a conjunction, a list a disjunction, texts are keywords.
func search(n *node, name string) (expr, error) {
	switch n.kind {
	case mapNode:
		return searchMap(n, name)
	case nullNode:
		return expr{}, refuse(n, "search identifier %.60q is empty", name)
	case listNode:
		return searchList(n, name)
	}
	return keywordList(n, &node{kind: listNode, line: n.line, vals: []*node{n}})
}

func searchMap(n *node, name string) (expr, error) {
	if len(n.keys) == 0 {
		return expr{}, refuse(n, "search identifier %.60q is empty", name)
	}
	var parts []expr
	for i, k := range n.keys {
		it, err := readItem(k, n.vals[i])
		if err != nil {
			return expr{}, err
		}
		e, err := it.expr()
		if err != nil {
			return expr{}, err
		}
		parts = append(parts, e)
	}
	return and(parts...), nil
}

func searchList(n *node, name string) (expr, error) {
	var parts []expr
	words := &node{kind: listNode, line: n.line}
	for _, e := range n.vals {
		switch e.kind {
		case mapNode:
			m, err := searchMap(e, name)
			if err != nil {
				return expr{}, err
			}
			parts = append(parts, m)
		case listNode:
			return expr{}, refuse(e, "search identifier %.60q has a list in a list", name)
		default:
			words.vals = append(words.vals, e)
		}
	}
	if len(n.vals) == 0 {
		return expr{}, refuse(n, "search identifier %.60q is empty", name)
	}
	if len(words.vals) > 0 {
		k, err := keywordList(n, words)
		if err != nil {
			return expr{}, err
		}
		parts = append(parts, k)
	}
	return or(parts...), nil
}

func keywordList(at, words *node) (expr, error) {
	for _, w := range words.vals {
		if w.kind == nullNode {
			return expr{}, refuse(w, "a keyword is null")
		}
	}
	it, err := readItem(&node{kind: textNode, line: at.line}, words)
	if err != nil {
		return expr{}, err
	}
	return it.expr()
}

// conditions are the texts of the rule's condition; several are joined by or.
func (d *detection) conditions() ([]*node, error) {
	c := d.at.get("condition")
	list := c.list()
	if len(list) == 0 {
		return nil, refuse(d.at, "detection has no condition")
	}
	for _, n := range list {
		if n.kind == mapNode || n.kind == listNode {
			return nil, refuse(n, "condition is not a text")
		}
	}
	return list, nil
}

// filter is the meaning of the condition without aggregation.
func (d *detection) filter() (expr, error) {
	list, err := d.conditions()
	if err != nil {
		return expr{}, err
	}
	var parts []expr
	for _, n := range list {
		if strings.Contains(n.text, "|") {
			return expr{}, refuse(n, "an aggregation in a condition of several cannot be converted")
		}
		e, err := parseCondition(n, n.text, d.names, d.identifier)
		if err != nil {
			return expr{}, err
		}
		parts = append(parts, e)
	}
	return or(parts...), nil
}
