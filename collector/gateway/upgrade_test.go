package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// An upgrade to HTTP/2 would be a tunnel: the requests in it would have no events and meet no decision.
func TestNoUpgradeToHTTP(t *testing.T) {
	b := start(t, echo(t).URL, nil)
	for _, to := range []string{"h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.0"} {
		answer := b.raw(fmt.Sprintf("GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\nUpgrade: %s\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n", to))
		if !strings.HasPrefix(answer, "HTTP/1.1 200") || strings.Contains(strings.ToLower(answer), "got-upgrade") || strings.Contains(answer, "Got-Http2-Settings") {
			t.Errorf("%s: the upstream was asked to upgrade:\n%s", to, answer)
		}
		if e := b.event(); e.Response.Code != http.StatusOK || e.Request.Headers["upgrade"] != to {
			t.Errorf("%s: event with %d and %v", to, e.Response.Code, e.Request.Headers)
		}
	}
	if answer := b.raw("GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"); !strings.Contains(answer, "Got-Upgrade: websocket") {
		t.Errorf("websocket did not reach the upstream:\n%s", answer)
	}
}
