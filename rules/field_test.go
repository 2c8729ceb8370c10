package rules

import (
	"strings"
	"testing"

	"github.com/warder/warder/internal/event"
)

func TestHeaderValues(t *testing.T) {
	long := strings.Repeat("x", maxHeaderValues)
	for _, c := range []struct {
		name    string
		headers map[string]string
		want    string
	}{
		{"none", nil, ""},
		{"one", map[string]string{"cookie": "a=b"}, "a=b"},
		{"one with a field of its own", map[string]string{"referer": "https://shop.example/"}, ""},
		{"by name, without empty ones", map[string]string{"x-b": "2", "cookie": "a=b", "accept": "*/*", "x-a": "", "user-agent": "curl", "host": "h"},
			"*/*\x1fa=b\x1f2"},
		{"one too long", map[string]string{"a": long + "y"}, long},
		{"cut", map[string]string{"a": "1", "b": long, "c": "3"}, "1\x1f" + long[:maxHeaderValues-3]},
		{"cut before a rune", map[string]string{"a": long[1:] + "ü"}, long[1:]},
		{"no room", map[string]string{"a": long[1:], "b": "2"}, long[1:] + "\x1f"},
	} {
		if got := headerValues(&event.Event{Request: event.RequestInfo{Headers: c.headers}}); got != c.want {
			t.Errorf("%s: %d bytes, want %d: %.40q", c.name, len(got), len(c.want), got)
		}
	}
}
