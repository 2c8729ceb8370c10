package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

// Who is refused before the body was read, and then does not send it, does not hold the connection for ever: net/http wants to
// read the rest before it answers.
func TestUnreadBodyIsBounded(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"blocked":   func(*Config) {},
		"no route":  func(c *Config) { c.Routes[0].PathPrefix = "/api" },
		"too large": func(c *Config) { c.MaxBody = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, echo(t).URL, func(c *Config) {
				c.Timeouts.ReadBody = config.Duration(50 * time.Millisecond)
				change(c)
			})
			if name == "blocked" {
				b.set.Apply(active5m("b", func(d *decision.Decision) { d.Value = "127.0.0.1" }))
			}
			if answer := b.raw("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 4") {
				t.Errorf("answer %.40q", answer)
			}
			b.event()
		})
	}
}
