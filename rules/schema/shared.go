package schema

import (
	"github.com/warder/warder/rules"
)

// notes are lines of text that people read.
func notes(description string) object {
	return object{"type": "array", "maxItems": 64, "items": object{"type": "string", "maxLength": 1024}, "description": description}
}

func exceptions() object {
	return object{"type": "array", "maxItems": rules.MaxExcept, "description": "Known-good traffic that does not match, until a date.",
		"items": closed(object{
			"when":   described(ref("cel"), "Which events are left alone."),
			"owner":  object{"type": "string", "minLength": 1, "maxLength": 120, "description": "Who answers for the exception."},
			"reason": text(1024, "Why it is harmless."),
			"until":  object{"type": "string", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, "description": "The last day, in UTC, by the event's time."},
		}, "when", "owner", "until")}
}

// event is a request of a test, or a heartbeat: time that passes.
func event() object {
	timing := func() object {
		return object{
			"time": object{"type": "string", "description": "RFC 3339; without it, after the event before."}, "event.time": object{"type": "string"},
			"after": described(ref("duration"), "So long after the event before, default 1s."), "every": described(ref("duration"), "How often it repeats, default 1s."),
			"repeat": object{"type": "integer", "minimum": 1, "maximum": 100_000, "description": "So many events; {i} in texts is the number, from 1."},
		}
	}
	request, beat := timing(), timing()
	request["kind"] = object{"const": "request"}
	beat["kind"] = object{"const": "heartbeat", "description": "No request: it only says that time has passed."}
	for _, name := range rules.FieldNames() {
		if request[name] == nil {
			request[name] = object{"type": []string{"string", "number", "array", "object"}}
		}
	}
	return object{"type": "object", "if": object{"required": []string{"kind"}, "properties": object{"kind": object{"const": "heartbeat"}}},
		"then": closed(beat, "kind"), "else": closed(request)}
}

func lists() object {
	entry := closed(object{
		"values":      object{"type": "array", "maxItems": rules.MaxListSize, "items": plain()},
		"file":        object{"type": "string", "description": "A file with one value a line, relative to this one."},
		"type":        object{"enum": []string{"text", "fold", "network"}, "default": "text", "description": "fold: upper and lower case are the same; network: addresses and networks."},
		"description": object{"type": "string", "description": "What the list is for."},
	})
	entry["oneOf"] = []any{object{"required": []string{"values"}}, object{"required": []string{"file"}}}
	return closed(object{"kind": object{"const": "lists"},
		"lists": object{"type": "object", "maxProperties": rules.MaxLists, "propertyNames": object{"pattern": `^[a-z0-9][a-z0-9._-]{0,79}$`}, "additionalProperties": entry,
			"description": "Rules look values up with inList(value, \"name\")."}}, "kind", "lists")
}

func macros() object {
	return closed(object{"kind": object{"const": "macros"},
		"macros": object{"type": "object", "maxProperties": rules.MaxMacros, "propertyNames": object{"pattern": `^[a-z][A-Za-z0-9_]{0,39}\s*(\([^()]*\))?$`},
			"additionalProperties": ref("cel"), "description": "Names, or names with parameters such as carries(text, pattern), and what they stand for."}}, "kind", "macros")
}
