package sigma

import "strings"

// collect applies the actions of a rule collection: "global" documents are merged into those that follow, until "reset"; "repeat"
// takes the rule before it and changes what it says.
func collect(docs []*node) ([]*node, error) {
	var global, last *node
	var out []*node
	for _, d := range docs {
		if d.kind != mapNode {
			return nil, refuse(d, "want a Sigma rule: a map with title, logsource and detection")
		}
		action := d.get("action")
		d = without(d, "action")
		switch a := strings.ToLower(action.str()); a {
		case "global":
			global = merged(global, d)
			continue
		case "reset":
			global = nil
			if len(d.keys) == 0 {
				continue
			}
		case "repeat":
			if last == nil {
				return nil, refuse(action, "action repeat has no rule before it")
			}
			d = merged(last, d)
			last = d
			out = append(out, d)
			continue
		case "":
		default:
			return nil, refuse(action, "unknown action %.40q: want global, repeat or reset", a)
		}
		if !ruleLike(d) && global == nil {
			return nil, refuse(d, "want a Sigma rule: a map with title, logsource and detection")
		}
		d = merged(global, d)
		last = d
		out = append(out, d)
	}
	return out, nil
}

func ruleLike(d *node) bool {
	for _, k := range []string{"detection", "logsource", "correlation", "title", "filter"} {
		if d.get(k) != nil {
			return true
		}
	}
	return false
}

func without(d *node, key string) *node {
	out := &node{kind: d.kind, line: d.line}
	for i, k := range d.keys {
		if k.text != key {
			out.keys, out.vals = append(out.keys, k), append(out.vals, d.vals[i])
		}
	}
	return out
}

// merged is a with what b says: maps are merged, everything else of b replaces that of a. Neither is changed.
func merged(a, b *node) *node {
	if a == nil || a.kind != mapNode || b.kind != mapNode {
		return b
	}
	out := &node{kind: mapNode, line: b.line}
	for i, k := range a.keys {
		v := a.vals[i]
		if w := b.get(k.text); w != nil {
			v = merged(v, w)
		}
		out.keys, out.vals = append(out.keys, k), append(out.vals, v)
	}
	for i, k := range b.keys {
		if a.get(k.text) == nil {
			out.keys, out.vals = append(out.keys, k), append(out.vals, b.vals[i])
		}
	}
	return out
}
