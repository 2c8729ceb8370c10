package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/warder/warder/internal/event"
)

// FieldNames lists every event field that rules can name, in the order of the documentation.
func FieldNames() []string {
	var out []string
	for _, f := range eventFields() {
		out = append(out, f.name)
	}
	return out
}

// GroupFields lists the fields that a rule can be grouped by.
func GroupFields() []string {
	var out []string
	for _, f := range eventFields() {
		if f.groupable() {
			out = append(out, f.name)
		}
	}
	return out
}

// Values lists what the event has, under the names of the rule language; fields without a value are left out. The texts are as the
// client sent them.
func Values(e *event.Event) []FieldValue {
	var out []FieldValue
	for _, f := range eventFields() {
		if f.name == "request.uri" { // path and query say it
			continue
		}
		v := ""
		switch {
		case f.groupable():
			v = f.value(e)
		case f.span != nil && f.span(e) != 0:
			v = f.span(e).String()
		case f.time != nil && !f.time(e).IsZero():
			v = f.time(e).Format(time.RFC3339Nano)
		case f.list != nil && len(f.list(e)) > 0:
			v = fmt.Sprintf("%q", f.list(e))
		case f.tab != nil && len(f.tab(e)) > 0:
			v = fmt.Sprintf("%q", f.tab(e))
		}
		if v != "" {
			out = append(out, FieldValue{f.name, v})
		}
	}
	return out
}

// Span writes a duration without the parts that are zero: "5m", "1h30m", "30s".
func Span(d time.Duration) string {
	s := d.String()
	if short, ok := strings.CutSuffix(s, "m0s"); ok {
		s = short + "m"
	}
	if short, ok := strings.CutSuffix(s, "h0m"); ok {
		s = short + "h"
	}
	return s
}
