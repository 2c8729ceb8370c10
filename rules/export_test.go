package rules

import (
	"reflect"
	"strings"
)

// YAMLKeys maps what the loader reads to the keys that it takes there: "rule", "window", "step", …
func YAMLKeys() map[string][]string {
	out := map[string][]string{}
	for name, t := range map[string]reflect.Type{
		"rule": reflect.TypeFor[ruleYAML](), "window": reflect.TypeFor[windowYAML](), "sequence": reflect.TypeFor[sequenceYAML](),
		"step": reflect.TypeFor[stepYAML](), "absence": reflect.TypeFor[absenceYAML](), "first_seen": reflect.TypeFor[firstSeenYAML](),
		"rare": reflect.TypeFor[rareYAML](), "except": reflect.TypeFor[exceptYAML](), "respond": reflect.TypeFor[respondYAML](),
		"block": reflect.TypeFor[blockYAML](), "limit": reflect.TypeFor[limitYAML](), "test": reflect.TypeFor[testYAML](),
		"expect": reflect.TypeFor[expectYAML](), "list": reflect.TypeFor[listYAML](), "lists": reflect.TypeFor[listsYAML](), "macros": reflect.TypeFor[macrosYAML](),
	} {
		for i := range t.NumField() {
			if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); tag != "" && tag != "-" {
				out[name] = append(out[name], tag)
			}
		}
	}
	out["aggregate"] = []string{"func", "of", "where", "q"} // decoded in place, see aggregatesYAML
	return out
}

// Functions lists the aggregate functions that the loader knows.
func Functions() []string {
	var out []string
	for fn := range signatures() {
		out = append(out, fn)
	}
	return out
}
