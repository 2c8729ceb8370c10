package console

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"/api/ünï", 100, "/api/ünï"},
		{"\x1b[31mred\x07", 100, `\x1b[31mred\a`},
		{"a\r\nb\tc", 100, `a\r\nb\tc`},
		{"right\u202eleft", 100, `right\u202eleft`},
		{"12345678901", 10, "1234567890…"},
		{"\xff", 100, "\uFFFD"},
	} {
		if got := Clean(c.in, c.limit); got != c.want {
			t.Errorf("Clean(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestTimeline(t *testing.T) {
	var b bytes.Buffer
	tl := NewTimeline(&b, time.Now())
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tl.Attack("path probing", "203.0.113.9")
	tl.Alert(&alert.Alert{Title: "Probing", Severity: alert.High, Group: map[string]string{"source.address": "203.0.113.9"}, Values: map[string]float64{"misses": 20, "paths": 19.5}})
	tl.Alert(&alert.Alert{Title: "Errors\x1b[2J", Severity: alert.Low, Group: map[string]string{"api.route": "/a\n", "tenant": "x"}})
	d := decision.Decision{Action: decision.Block, Value: "203.0.113.9", Mode: decision.Enforce, State: decision.Active, Created: at, Expires: at.Add(15 * time.Minute), Reason: decision.Reason{Rule: "path-probing"}}
	tl.Decision(&d)
	d.Mode = decision.Observe
	tl.Decision(&d)
	d.State, d.Note = decision.Proposed, "held back"
	tl.Decision(&d)
	tl.Refused("203.0.113.9", 4300*time.Microsecond)
	want := `T  attack    path probing begins from 203.0.113.9
T  high      Probing  203.0.113.9  misses=20 paths=19.5
T  low       Errors\x1b[2J  api.route=/a\n tenant=x
T  block     203.0.113.9 for 15m (path-probing)
T  would     block 203.0.113.9 for 15m (path-probing)
T  held      block of 203.0.113.9: held back
T  refused   203.0.113.9, 4.3 ms after the request that gave it away
`
	got := regexp.MustCompile(`(?m)^ *\d+\.\d{3}s`).ReplaceAllString(b.String(), "T")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 45 * time.Second: "45s", 15 * time.Minute: "15m", time.Hour: "1h", 90 * time.Minute: "1h30m",
		time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 20 * time.Hour: "20h", 1499 * time.Millisecond: "1s"} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%s) = %s, want %s", d, got, want)
		}
	}
}
