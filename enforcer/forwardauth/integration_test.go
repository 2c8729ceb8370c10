//go:build integration

package forwardauth

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/enforcer/gatewaytest/realtest"
)

// program is a gateway with its configuration in testdata.
type program struct {
	name, file string
	args       []string
	listen     string   // its own address there
	open       []string // what lets it fail open there, and what stands there otherwise
	closed     [2]int   // what clients get then while Warder is gone and while it hangs
	log        func(map[string]any) (id, action string)
	observed   bool
}

func programs() []program {
	return []program{
		{name: "nginx", file: "testdata/nginx.conf", args: []string{"-e", "stderr", "-p", ".", "-c"}, listen: "127.0.0.1:18081", closed: [2]int{500, 500},
			open: []string{"proxy_intercept_errors on;", "", "error_page 500 502 503 504 = @warder_absent;", ""}, log: realtest.Marks, observed: true},
		{name: "caddy", file: "testdata/Caddyfile", args: []string{"run", "--adapter", "caddyfile", "--config"}, listen: "127.0.0.1:18082", closed: [2]int{502, 504},
			open: []string{"handle_errors {", "handle_path /nowhere {"}, log: caddyMarks},
	}
}

func caddyMarks(line map[string]any) (id, action string) {
	of := func(name string) string {
		headers, _ := line["resp_headers"].(map[string]any)
		values, _ := headers[name].([]any)
		if len(values) != 1 {
			return ""
		}
		v, _ := values[0].(string)
		return v
	}
	return of("X-Warder-Decision"), of("X-Warder-Action")
}

// start starts the program and Warder. edit is further pairs of texts of the configuration.
func (p program) start(t *testing.T, edit ...string) (*realtest.Gateway, *realtest.Warder) {
	t.Helper()
	dir, at := t.TempDir(), realtest.Addresses(t, 2)
	w := warder(t, at[0])
	file := realtest.Configure(t, p.file, dir, append(edit, "127.0.0.1:9610", at[0], p.listen, at[1], "127.0.0.1:18099", realtest.Service(t))...)
	realtest.Start(t, dir, at[1:], p.name, append(p.args, file)...)
	c := realtest.NewClient(t, at[1])
	return &realtest.Gateway{Rig: w.Rig(c.Ask), Client: c, Log: realtest.Log{Path: filepath.Join(dir, "access.log"), Marks: p.log}, Observed: p.observed}, w
}

// TestIntegrationGateways runs the programs of this machine with the configurations that the documentation shows.
func TestIntegrationGateways(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			t.Run("conformance", func(t *testing.T) {
				gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
					g, _ := p.start(t)
					return g.Rig
				})
			})
			t.Run("accept", func(t *testing.T) {
				g, _ := p.start(t)
				realtest.Accept(t, g)
			})
			t.Run("fail open", func(t *testing.T) {
				g, w := p.start(t)
				realtest.FailOpen(t, g, w)
			})
			t.Run("service away", func(t *testing.T) {
				g, _ := p.start(t, "127.0.0.1:18099", realtest.Addresses(t, 1)[0])
				q := gatewaytest.Request{Address: netip.MustParseAddr("198.51.100.1"), Path: "/"}
				if a, err := g.Rig.Ask(t.Context(), q); err != nil || a.Status != 502 {
					t.Errorf("%+v %v, want 502: it is not Warder that is away", a, err)
				}
			})
			t.Run("fail closed", func(t *testing.T) {
				g, w := p.start(t, p.open...)
				realtest.FailClosed(t, g, w, p.closed[0], p.closed[1])
			})
		})
	}
}
