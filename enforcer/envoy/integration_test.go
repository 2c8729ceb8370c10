//go:build integration

package envoy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/enforcer/gatewaytest/realtest"
	"github.com/warder/warder/internal/decision"
)

// real are one Envoy's three listeners and the Warder that it asks.
type real struct {
	open, closed, ratelimit *realtest.Gateway
	warder                  *realtest.Warder
}

// start starts Envoy with the configuration that the documentation shows.
func start(t *testing.T, edit ...string) real {
	t.Helper()
	envoy := os.Getenv("WARDER_ENVOY")
	if envoy == "" {
		t.Fatal("the environment variable WARDER_ENVOY must name the program: .ci/envoy.sh fetches it and prints its path")
	}
	dir, at := t.TempDir(), realtest.Addresses(t, 4)
	w := warder(t, at[3])
	edit = append(edit, port("18083"), port(at[0]), port("18084"), port(at[1]), port("18085"), port(at[2]), port("9611"), port(at[3]),
		port("18099"), port(realtest.Service(t)))
	file := realtest.Configure(t, "testdata/envoy.yaml", dir, edit...)
	realtest.Start(t, dir, at[:3], envoy, "-c", file, "--disable-hot-restart", "--concurrency", "1", "--file-flush-interval-msec", "50", "--log-level", "warn")
	gateway := func(address string) *realtest.Gateway {
		c := realtest.NewClient(t, address)
		return &realtest.Gateway{Rig: w.Rig(c.Ask), Client: c}
	}
	r := real{gateway(at[0]), gateway(at[1]), gateway(at[2]), w}
	r.open.Log, r.open.Observed = realtest.Log{Path: filepath.Join(dir, "access.log"), Marks: realtest.Marks}, true
	limiting(r.ratelimit.Rig)
	can := r.ratelimit.Supports
	r.ratelimit.Supports = func(d *decision.Decision) error {
		if d.Scope == decision.Principal {
			return errors.New("no descriptor of this configuration names the principal")
		}
		return can(d)
	}
	return r
}

// port writes the port of an address, or a port alone, as Envoy's configuration does.
func port(address string) string {
	return "port_value: " + address[strings.LastIndexByte(address, ':')+1:]
}

func TestIntegrationAuthorization(t *testing.T) {
	t.Run("conformance", func(t *testing.T) {
		gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig { return start(t).open.Rig })
	})
	t.Run("accept", func(t *testing.T) { realtest.Accept(t, start(t).open) })
	t.Run("fail open", func(t *testing.T) {
		r := start(t)
		realtest.FailOpen(t, r.open, r.warder)
	})
	t.Run("fail closed", func(t *testing.T) {
		r := start(t)
		realtest.FailClosed(t, r.closed, r.warder, 503, 503)
	})
}

func TestIntegrationRateLimit(t *testing.T) {
	t.Run("conformance", func(t *testing.T) {
		gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig { return start(t).ratelimit.Rig })
	})
	t.Run("accept", func(t *testing.T) { realtest.Accept(t, start(t).ratelimit) })
	t.Run("fail open", func(t *testing.T) {
		r := start(t)
		realtest.FailOpen(t, r.ratelimit, r.warder)
	})
	t.Run("fail closed", func(t *testing.T) {
		r := start(t, "failure_mode_deny: false", "failure_mode_deny: true")
		realtest.FailClosed(t, r.ratelimit, r.warder, 500, 500)
	})
}
