package accesslog

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/event"
)

// TestEnforced: what a gateway's log says of Warder's answer takes the request out of detection, and nobody else's words do.
func TestEnforced(t *testing.T) {
	const nginx = `{"time_iso8601":"2026-03-01T10:00:00+00:00","remote_addr":"203.0.113.9","request":"GET / HTTP/1.1","status":403,`
	blocked := event.Enforced{By: "d1", Action: "block"}
	for name, tt := range map[string]struct {
		format, line string
		want         event.Enforced
	}{
		"nginx":          {"json", nginx + `"warder_decision":"d1","warder_action":"block"}`, blocked},
		"nginx upstream": {"json", nginx + `"upstream_http_x_warder_decision":"d1, d1","upstream_http_x_warder_action":"block, block"}`, blocked},
		"haproxy":        {"json", nginx + `"x-warder-decision":"d1","x-warder-action":"block"}`, blocked},
		"caddy": {"caddy", `{"ts":1772359200.5,"request":{"remote_ip":"203.0.113.9","method":"GET","uri":"/"},"status":403,
			"resp_headers":{"X-Warder-Decision":["d1"],"X-Warder-Action":["block"]}}`, blocked},
		"envoy": {"envoy_json", `{"start_time":"2026-03-01T10:00:00Z","method":"GET","path":"/","response_code":403,"x-warder-decision":"d1",
			"x-warder-action":"block"}`, blocked},
		"traefik": {"traefik_json", `{"StartUTC":"2026-03-01T10:00:00Z","RequestMethod":"GET","RequestPath":"/","DownstreamStatus":403,
			"downstream_X-Warder-Decision":"d1","downstream_X-Warder-Action":"block"}`, blocked},
		"observed":         {"json", nginx + `"warder_decision":"d1","warder_action":"observe:limit"}`, event.Enforced{By: "d1", Action: "observe:limit"}},
		"unknown action":   {"json", nginx + `"warder_decision":"d1","warder_action":"blocked by the upstream"}`, event.Enforced{}},
		"no decision":      {"json", nginx + `"warder_action":"block"}`, event.Enforced{}},
		"empty":            {"json", nginx + `"warder_decision":"","warder_action":""}`, event.Enforced{}},
		"sent by a client": {"json", nginx + `"http_x_warder_decision":"d1","http_x_warder_action":"block"}`, event.Enforced{}},
		"served":           {"json", nginx + `"status":200,"warder_decision":"d1","warder_action":"block"}`, event.Enforced{}},
	} {
		p, err := NewParser(tt.format)
		if err != nil {
			t.Fatal(err)
		}
		var e event.Event
		if err := p.Parse([]byte(tt.line), &e); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, e.Enforced); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestChallengeIsNoFailure: a 401 of Warder's own is not a failed login.
func TestChallengeIsNoFailure(t *testing.T) {
	p, err := NewParser("json")
	if err != nil {
		t.Fatal(err)
	}
	var e event.Event
	line := `{"time_iso8601":"2026-03-01T10:00:00+00:00","remote_addr":"203.0.113.9","remote_user":"alice","request":"GET / HTTP/1.1","status":401,` +
		`"warder_decision":"d1","warder_action":"challenge"}`
	if err := p.Parse([]byte(line), &e); err != nil || !e.Refused() || e.Auth.Outcome != "" {
		t.Errorf("error %v, %+v %+v", err, e.Enforced, e.Auth)
	}
}
