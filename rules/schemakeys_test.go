package rules_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/schema"
)

// TestSchemaKnowsEveryKey checks that no key of the loader is missing in the JSON Schema.
func TestSchemaKnowsEveryKey(t *testing.T) {
	var b bytes.Buffer
	if err := schema.Write(&b); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Definitions map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"definitions"`
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, key := range rules.YAMLKeys() {
		if _, ok := doc.Definitions["rule"].Properties[key]; !ok {
			t.Errorf("rules/schema does not know the key %s", key)
		}
	}
}
