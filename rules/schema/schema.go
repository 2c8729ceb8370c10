// Package schema generates the JSON Schema of rule files, so that editors complete and check them as they are written. It is of draft
// 07 (https://json-schema.org/draft-07), which yaml-language-server and with it VS Code, Neovim and the JetBrains editors read best.
//
// The schema knows the form of a rule, not CEL: `warder rules lint` says what is wrong with an expression.
package schema

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/rules"
)

// ID names the schema.
const ID = "https://github.com/warder/warder/docs/rule.schema.json"

// object is a JSON object; encoding/json writes its keys in order, so that the output is the same each time.
type object = map[string]any

// Write writes the schema, indented.
func Write(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(file()); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return nil
}

// file is a document of a rule file: a rule, or lists or macros that rules share.
func file() object {
	return object{
		"$schema": "http://json-schema.org/draft-07/schema#", "$id": ID, "title": "Warder rule", "type": "object",
		"description": "One document of a rule file: a detection rule, or lists or macros that rules share. Several are parted by ---.",
		"if":          object{"required": []string{"kind"}, "properties": object{"kind": object{"enum": []string{"lists", "macros"}}}},
		"then":        object{"anyOf": []any{ref("lists"), ref("macros")}},
		"else":        ref("rule"),
		"definitions": object{
			"rule": rule(), "lists": lists(), "macros": macros(),
			"duration": object{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w))+$`, "description": "A duration such as 30s, 15m, 24h or 7d."},
			"cel":      object{"type": []string{"string", "boolean"}, "description": "A CEL expression; see docs/rules.md.", "maxLength": rules.MaxExpr},
			"field":    object{"enum": rules.GroupFields(), "description": "An event field with a single value."},
			"event":    event(), "test": test(), "aggregate": aggregate(), "respond": respond(), "step": step(),
		},
	}
}

func ref(name string) object { return object{"$ref": "#/definitions/" + name} }

func text(limit int, description string) object {
	return object{"type": "string", "maxLength": limit, "description": description}
}

func listOf(item object, description string) object {
	return object{"type": "array", "items": item, "description": description}
}

// closed is an object without further keys.
func closed(properties object, required ...string) object {
	out := object{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

func described(o object, description string) object {
	return object{"allOf": []any{o}, "description": description}
}

func rule() object {
	var severities, modes []string
	for _, s := range alert.Severities() {
		severities = append(severities, string(s))
	}
	for _, m := range []alert.Mode{alert.Shadow, alert.Enforce} {
		modes = append(modes, string(m))
	}
	p := object{
		"id":          object{"type": "string", "pattern": `^[a-z0-9][a-z0-9._-]{0,79}$`, "description": "Unique in all files: lower-case letters, digits, '-', '_' and '.'."},
		"title":       object{"type": "string", "minLength": 1, "maxLength": 200, "description": "The line that people read in a notification."},
		"description": text(4096, "What it means, and what to do about it."),
		"severity":    object{"enum": severities, "default": string(alert.Medium), "description": "How much an alert matters."},
		"tags": object{"type": "array", "maxItems": 32, "items": object{"type": "string", "pattern": `^[A-Za-z0-9][A-Za-z0-9._:/-]{0,79}$`},
			"description": "What the rule covers: owasp.api2, attack.t1110.004, capec.49."},
		"owner":            text(120, "Who is told when the rule is suspended."),
		"author":           text(1024, "Who wrote the rule."),
		"license":          text(1024, "The licence of the rule."),
		"source_id":        text(120, "The rule's id where it was imported from."),
		"references":       notes("Addresses of pages about it."),
		"falsepositives":   notes("What harmless traffic the rule may take for an attack."),
		"extend":           text(80, "The id of a rule that this one starts from; keys written here replace its keys."),
		"filter":           described(ref("cel"), "Which events count: CEL, true or false; true for every event."),
		"keep_parent":      object{"type": "boolean", "description": "true: the extended rule runs as well."},
		"filter_and":       described(ref("cel"), "Narrows the filter of the rule that this one extends."),
		"except":           exceptions(),
		"group_by":         object{"type": "array", "maxItems": rules.MaxGroupBy, "uniqueItems": true, "items": ref("field"), "description": "The fields whose values name the entity."},
		"window":           window(),
		"aggregates":       object{"type": "object", "maxProperties": rules.MaxAggregates, "propertyNames": object{"pattern": "^[a-z][a-z0-9_]{0,39}$"}, "additionalProperties": ref("aggregate"), "description": "Named values over the window's events, which the condition reads."},
		"condition":        described(ref("cel"), "CEL over the aggregates' names, true or false."),
		"sequence":         sequence(),
		"absence":          absence(),
		"first_seen":       firstSeen(),
		"rare":             rare(),
		"suppress":         described(ref("duration"), "For how long the same group is not alerted on again, at most 7 days."),
		"mode":             mode(modes),
		"include_enforced": object{"type": "boolean", "default": false, "description": "Also look at requests that Warder itself answered."},
		"respond":          object{"type": "array", "maxItems": 8, "items": ref("respond"), "description": "What the gateway is to do."},
		"tests":            listOf(ref("test"), "At least one that expects an alert, and one that expects none."),
	}
	out := closed(p, "id")
	out["anyOf"] = []any{object{"required": []string{"title", "filter"}}, object{"required": []string{"extend"}}, object{"required": []string{"title", "sequence"}}}
	out["allOf"] = oneForm()
	return out
}

func window() object {
	return closed(object{
		"size": described(ref("duration"), "1s to 24h; of a session, its longest length."),
		"type": object{"enum": []string{"sliding", "tumbling", "session"}, "default": "sliding"},
		"gap":  described(ref("duration"), "A session ends after this long without an event."),
	})
}

func mode(modes []string) object {
	canary := object{"type": "string", "pattern": `^canary:? *[0-9]{1,3} *%?$`}
	return object{"default": string(alert.Shadow), "description": "How far an alert may reach: shadow only records, canary 10% acts on a share of entities, enforce acts.",
		"anyOf": []any{object{"enum": modes}, canary, closed(object{"canary": object{"type": []string{"string", "integer"}}}, "canary")}}
}

func aggregate() object {
	return object{"anyOf": []any{
		object{"type": "string", "pattern": `(?s)^\s*(count|sum|distinct|avg|min|max|ratio|quantile|rate|top)\s*\(.*\)\s*$`,
			"description": "count(), count(where), sum(number), distinct(value), avg(number), quantile(number, 0.95), ratio(where), rate(), top(value)"},
		longAggregate(),
	}}
}

func respond() object {
	one := object{"enum": rules.Scopes()}
	scope := object{"anyOf": []any{one, object{"type": "array", "minItems": 1, "maxItems": decision.MaxTerms, "uniqueItems": true, "items": one}},
		"description": "Must be in group_by; for principal.key, principal.id must. A request must meet all of a list."}
	ttl := described(ref("duration"), "Every decision expires; at most 30 days.")
	untilThen := closed(object{"scope": scope, "ttl": ttl}, "scope", "ttl")
	return object{"type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1, "properties": object{
		"block": untilThen,
		"log":   untilThen,
		"challenge": closed(object{"scope": scope, "ttl": ttl, "status": object{"enum": []int{401, 429}, "default": 401,
			"description": "401 until the client proves who it is, or 429."}}, "scope", "ttl"),
		"limit": closed(object{"scope": scope, "ttl": ttl, "rate": object{"type": "string", "pattern": `^ *[0-9]+ */ *(s|m|min|h) *$`, "description": "10/s, 100/m or 1000/h"},
			"burst": object{"type": "integer", "minimum": 1, "maximum": 1_000_000}}, "scope", "ttl", "rate"),
	}}
}

// plain is a YAML scalar.
func plain() object { return object{"type": []string{"string", "number", "boolean"}} }

func test() object {
	return closed(object{
		"name": object{"type": "string", "minLength": 1},
		"events": object{"anyOf": []any{object{"type": "string", "description": "A fixture file beside the rule's file, one JSON object a line."},
			object{"type": "array", "items": ref("event")}}},
		"expect": object{"type": []string{"array", "null"}, "description": "The alerts, in any order; [] for none.", "items": closed(object{
			"group":  object{"type": "array", "items": plain(), "description": "The values of group_by, in its order; {i} is the number of the repetition."},
			"repeat": object{"type": "integer", "minimum": 1, "maximum": 1000, "description": "This entry stands for so many alerts."},
			"values": object{"type": "object", "additionalProperties": object{"type": []string{"number", "string"}}, "description": "Aggregates to compare."},
		})},
	}, "name", "events")
}
