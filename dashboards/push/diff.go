package push

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/warder/warder/internal/console"
)

const (
	maxDifferences = 200 // that are kept of one object
	maxShown       = 120 // runes of a value
)

// Difference is a field whose value is not the wanted one. Old and New are JSON, safe to print; "" is absent.
type Difference struct{ Path, Old, New string }

// hidden stands for values that must not be shown.
const hidden = "(not shown)"

// differences compares what is wanted with what Grafana has. Fields that only Grafana has are its own (id, version, defaults) and do not
// count; within a list, every element does. An absent value equals an empty one: Grafana leaves such out, or fills them in.
func differences(want, have any) []Difference {
	d := &differ{}
	d.value("", generic(want), generic(have))
	return d.found
}

// generic turns a value into what encoding/json makes of its JSON.
func generic(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(err) // cannot happen with what was decoded from JSON or is made of strings and numbers
	}
	var out any
	_ = json.Unmarshal(text, &out) // is JSON
	return out
}

type differ struct{ found []Difference }

func (d *differ) add(path string, want, have any) {
	if len(d.found) < maxDifferences {
		d.found = append(d.found, Difference{strings.TrimPrefix(path, "."), show(have), show(want)})
	}
}

func (d *differ) value(path string, want, have any) {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok && !empty(have) {
			d.add(path, want, have)
			return
		}
		for _, k := range keys(w) {
			d.value(path+"."+console.Clean(k, 60), w[k], h[k])
		}
	case []any:
		h, ok := have.([]any)
		if !ok && !empty(have) {
			d.add(path, want, have)
			return
		}
		d.list(path, w, h)
	default:
		if want != have && !(empty(want) && empty(have)) {
			d.add(path, want, have)
		}
	}
}

func (d *differ) list(path string, want, have []any) {
	for i := range max(len(want), len(have)) {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(want):
			d.add(at, nil, have[i])
		case i >= len(have):
			d.add(at, want[i], nil)
		default:
			d.value(at, want[i], have[i])
		}
	}
}

// empty tells whether a JSON value says no more than its absence does.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func show(v any) string {
	if v == nil {
		return ""
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // came from JSON
	return console.Clean(strings.TrimSpace(b.String()), maxShown)
}
