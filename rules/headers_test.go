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
		{"by name, without empty ones", map[string]string{"x-b": "2", "cookie": "a=b", "accept": "*/*|", "x-a": "", "user-agent": "curl", "host": "h"},
			"*/*|\x1fa=b\x1f2"},
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

func TestPlainHeaderValues(t *testing.T) {
	for value, want := range map[string]bool{
		"": true, "*/*": true, "text/html,application/xhtml+xml;q=0.9, */*;q=0.8": true, "gzip, deflate, br": true, "2001:db8::1, 10.0.0.1": true,
		"https://shop.example:8443": true, "bytes=0-1023": true, "00-0af7651916cd43dd-b7ad6b71-01": true, "?0": true, `"Windows"`: true,
		"keep-alive": true, "W/\"686897\"": true,
		"../x": false, "/etc/passwd": false, "a; /bin/x": false, "1 union select": false, "x//y": false, "${jndi:x}": false, "() {": false,
		"<script>": false, "a'b": false, "caf\u00e9": false, "a|b": false, "a\x00": false, "%2e": false, "=/etc": false,
	} {
		if got := plainHeader(value); got != want {
			t.Errorf("%q: %t", value, got)
		}
	}
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"accept", "*/*", false}, {"accept", "$x", true}, {"sec-fetch-mode", "navigate", false}, {"sec-x", "<", true}, {"cookie", "<redacted>", false},
		{"authorization", "Bearer <redacted>", false}, {"cookie", "a=b", true}, {"x-test", "a", true}, {"referer", "<", false}, {"x-test", "", false},
	} {
		if got := worthReading(c.name, c.value); got != c.want {
			t.Errorf("%s: %q: %t", c.name, c.value, got)
		}
	}
}
