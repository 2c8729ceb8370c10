package rules_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/schema"
)

// TestSchemaKnowsEveryKey checks that no key of the loader is missing in the JSON Schema, and that it has none that the loader refuses.
func TestSchemaKnowsEveryKey(t *testing.T) {
	var b bytes.Buffer
	if err := schema.Write(&b); err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	at := func(path ...any) map[string]any {
		x := doc
		for _, p := range path {
			switch p := p.(type) {
			case int:
				x = x.([]any)[p]
			case string:
				x = x.(map[string]any)[p]
			}
		}
		m, _ := x.(map[string]any)
		return m
	}
	rule := func(path ...any) []any { return append([]any{"definitions", "rule", "properties"}, path...) }
	places := map[string][]any{
		"rule": rule(), "window": rule("window", "properties"), "sequence": rule("sequence", "properties"),
		"absence": rule("absence", "properties"), "first_seen": rule("first_seen", "properties"), "rare": rule("rare", "properties"),
		"except": rule("except", "items", "properties"), "step": {"definitions", "step", "properties"},
		"respond": {"definitions", "respond", "properties"}, "block": {"definitions", "respond", "properties", "block", "properties"},
		"limit": {"definitions", "respond", "properties", "limit", "properties"}, "test": {"definitions", "test", "properties"},
		"expect": {"definitions", "test", "properties", "expect", "items", "properties"}, "aggregate": {"definitions", "aggregate", "anyOf", 1, "properties"},
		"list":  {"definitions", "lists", "properties", "lists", "additionalProperties", "properties"},
		"lists": {"definitions", "lists", "properties"}, "macros": {"definitions", "macros", "properties"},
	}
	for name, keys := range rules.YAMLKeys() {
		known := at(places[name]...)
		for _, key := range keys {
			if _, ok := known[key]; !ok {
				t.Errorf("rules/schema does not know the key %s of %s", key, name)
			}
		}
		for key := range known {
			if !slices.Contains(keys, key) {
				t.Errorf("rules/schema has the key %s of %s, which the loader does not", key, name)
			}
		}
	}
	have := fmt.Sprint(at(append(places["aggregate"], "func")...)["enum"])
	for _, fn := range rules.Functions() {
		if !bytes.Contains([]byte(have), []byte(fn)) {
			t.Errorf("rules/schema does not know the function %s", fn)
		}
	}
}
