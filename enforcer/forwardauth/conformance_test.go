package forwardauth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/enforcer/gatewaytest/realtest"
	"github.com/warder/warder/internal/decision/active"
)

// warder starts Warder's side of a gateway, which believes the test's header about the principal.
func warder(t testing.TB, listen string) *realtest.Warder {
	return realtest.NewWarder(t, listen, func(set *active.Set, listen string) (realtest.Server, error) {
		cfg := DefaultConfig()
		cfg.Listen, cfg.Headers.Principal = listen, realtest.HeaderPrincipal
		return New(cfg, set, nil, nil, nil)
	})
}

// proxy is the least of a gateway that asks: it passes the request's headers on to ask, and answers by what pass returns of the
// answer: 0 lets the request through.
type proxy struct {
	ask  string
	pass func(*http.Response) int
}

// forwardAuth does what Traefik and Caddy do, authRequest what testdata/nginx.conf does.
func forwardAuth(r *http.Response) int {
	if r.StatusCode/100 == 2 {
		return 0
	}
	return r.StatusCode
}

func authRequest(r *http.Response) int {
	switch {
	case r.StatusCode/100 == 2:
		return 0
	case r.StatusCode == 403 && r.Header.Get(HeaderStatus) == "429":
		return 429
	case r.StatusCode == 403, r.StatusCode == 401:
		return r.StatusCode
	}
	return 500
}

func (p proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, err := http.NewRequestWithContext(r.Context(), http.MethodGet, p.ask, nil)
	if err != nil {
		panic(err) // the test is wrong
	}
	q.Header = r.Header.Clone()
	res, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		w.WriteHeader(502)
		return
	}
	defer res.Body.Close()
	status := p.pass(res)
	if status == 0 {
		return // the service's 200
	}
	for _, h := range []string{"Retry-After", "WWW-Authenticate"} {
		if v := res.Header.Get(h); v != "" {
			w.Header().Set(h, v)
		}
	}
	w.WriteHeader(status)
	_, _ = io.Copy(w, res.Body)
}

func TestConformance(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for _, tt := range []struct {
		path string
		pass func(*http.Response) int
	}{{"/auth", forwardAuth}, {"/nginx", authRequest}} {
		t.Run(tt.path[1:], func(t *testing.T) {
			gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
				at := realtest.Addresses(t, 1)[0]
				w := warder(t, at)
				p := httptest.NewServer(proxy{"http://" + at + tt.path, tt.pass})
				t.Cleanup(p.Close)
				return w.Rig(realtest.NewClient(t, p.Listener.Addr().String()).Ask)
			})
		})
	}
}
