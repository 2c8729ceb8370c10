package describe

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/warder/warder/internal/alert"
)

func TestPrintable(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain text, ünï", 40, "plain text, ünï"},
		{"a\r\nb\tc", 40, `a\r\nb\tc`},
		{"\x1b[31m\x00", 40, `\x1b[31m\x00`},
		{"\u202egnp.exe\u200b\u2028", 40, `\u202egnp.exe\u200b\u2028`},
		{"\xff\xfeok\uFFFD", 40, "\\xff\\xfeok\uFFFD"},
		{"abcdef", 3, "abc…"},
		{"", 3, ""},
	} {
		if got := Printable(tt.in, tt.limit); got != tt.want {
			t.Errorf("Printable(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

func TestDefang(t *testing.T) {
	for in, want := range map[string]string{
		"http://evil.example/x.php": "http[:]//evil[.]example/x[.]php",
		"www.evil.example":          "www[.]evil[.]example",
		"203.0.113.9":               "203.0.113.9",
		"2001:db8::1":               "2001:db8::1",
		"Mozilla/5.0 (X11)":         "Mozilla/5.0 (X11)",
		"/.env and /../etc":         "/.env and /../etc",
		"mailto:a@b.example":        "mailto[:]a@b[.]example",
		"javascript:alert(1)":       "javascript[:]alert(1)",
		"":                          "",
	} {
		if got := Defang(in); got != want {
			t.Errorf("Defang(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzShown(f *testing.F) {
	f.Add("http://evil.example \u202e\x00\xff", 20)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = min(max(limit, 0), 1000)
		got := Shown(s, limit)
		if !utf8.ValidString(got) || strings.Contains(got, "://") {
			t.Errorf("Shown(%q) = %q", s, got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) && r != utf8.RuneError {
				t.Errorf("Shown(%q) holds %U", s, r)
			}
		}
		if n := utf8.RuneCountInString(got); n > 8*limit+1 {
			t.Errorf("Shown(%q, %d) has %d runes", s, limit, n)
		}
	})
}

func TestWords(t *testing.T) {
	at := time.Date(2026, 11, 22, 23, 59, 30, 0, time.UTC)
	a := &alert.Alert{Rule: "r", EventCount: 1, Time: at, Window: alert.Window{Start: at, End: at}, Mode: alert.Canary, Canary: 10,
		Group:   map[string]string{"source.address": "203.0.113.9", "api.route": "/login"},
		Values:  map[string]float64{"rate": 2.5, "n": 1e300},
		Respond: []alert.Response{{Action: "limit", Scope: "source.address", TTL: time.Hour, Requests: 10, Per: time.Minute, Burst: 5}}}
	for got, want := range map[string]string{
		Title(a):    "r",
		Entity(a):   "api.route /login, source.address 203.0.113.9",
		Finding(a):  "1 matching request (n 1e+300, rate 2.5).",
		When(a):     "2026-11-22 23:59:30 UTC",
		Response(a): "Canary on 10 % of entities: asked to limit 203.0.113.9 to 10 requests per 60 s for 60 min.",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	a.Window.End = at.Add(time.Minute)
	if got, want := When(a), "2026-11-22 23:59:30 to 2026-11-23 00:00:30 UTC"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	a.Mode, a.Group, a.EventCount = alert.Shadow, nil, 40
	if got := Response(a); !strings.HasPrefix(got, "Shadow mode, only recorded.") || Entity(a) != "all traffic" {
		t.Errorf("%q, %q", got, Entity(a))
	}
	a.Events = []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"}
	if ids, more := Evidence(a); len(ids) != 10 || ids[0] != "12" || more != 30 {
		t.Errorf("%v and %d more", ids, more)
	}
}
