package rules

import (
	"reflect"
	"strings"
)

// YAMLKeys lists the top-level keys of a rule that the loader reads.
func YAMLKeys() []string {
	var out []string
	t := reflect.TypeFor[ruleYAML]()
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); tag != "" && tag != "-" {
			out = append(out, tag)
		}
	}
	return out
}
