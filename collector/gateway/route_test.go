package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/warder/warder/internal/config"
)

func TestRouting(t *testing.T) {
	named := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s host=%s", name, r.RequestURI, r.Host)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	b := start(t, "", func(c *Config) {
		c.Routes = []Route{
			{Name: "api", Host: "shop.example", PathPrefix: "/api/", Upstream: Upstreams{named("api")}},
			{Name: "v2", Host: "shop.example", PathPrefix: "/api/v2", StripPrefix: true, Upstream: Upstreams{named("v2") + "/base/"}},
			{Name: "shop", Host: "Shop.Example", Upstream: Upstreams{named("shop")}},
			{Name: "wild", Host: "*.example", Upstream: Upstreams{named("wild")}},
			{Name: "deep", Host: "*.cdn.example", Upstream: Upstreams{named("deep")}},
			{Name: "admin", PathPrefix: "/admin", Upstream: Upstreams{named("admin")}, UpstreamHost: true},
		}
	})
	for _, tt := range []struct{ host, path, route, uri string }{
		{"shop.example", "/api/v1", "api", "/api/v1"},
		{"SHOP.example:8080", "/api", "api", "/api"},
		{"shop.example.", "/apis", "shop", "/apis"},
		{"shop.example", "/api/v2/x?q", "v2", "/base/x?q"},
		{"shop.example", "/api/v2", "v2", "/base/"},
		{"shop.example", "/api/v2/a%2Fb/../c", "v2", "/base/a%2Fb/../c"},
		{"shop.example", "/x/../api/v2/y", "v2", "/base/y"},
		{"shop.example", "/api/v2/../v1", "api", "/api/v2/../v1"},
		{"a.example", "/api", "wild", "/api"},
		{"a.b.example", "/", "wild", "/"},
		{"a.cdn.example", "/", "deep", "/"},
		{"other.test", "/admin/../admin/x", "admin", "/admin/../admin/x"},
		{"other.test", "/", "", ""},
		{"example", "/", "", ""},
	} {
		res, text, e := b.get(tt.path, "Host", tt.host)
		if tt.route == "" {
			if res.StatusCode != 404 || e.API.Name != "" || e.Response.Code != 404 {
				t.Errorf("%s%s: %d, route %q", tt.host, tt.path, res.StatusCode, e.API.Name)
			}
			continue
		}
		if e.API.Name != tt.route || !strings.HasPrefix(text, tt.route+" "+tt.uri+" ") {
			t.Errorf("%s%s: route %q, upstream says %q; want %s %s", tt.host, tt.path, e.API.Name, text, tt.route, tt.uri)
		}
		if kept := strings.HasSuffix(text, "host="+tt.host); kept == (tt.route == "admin") {
			t.Errorf("%s%s: %s", tt.host, tt.path, text)
		}
	}
}

func TestUpstreamsTakeTurnsAndFailOver(t *testing.T) {
	counts := make([]int, 2)
	urls := Upstreams{}
	for i := range counts {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, i) }))
		defer s.Close()
		urls = append(urls, s.URL)
	}
	dead := httptest.NewServer(nil)
	dead.Close()
	b := start(t, "", func(c *Config) { c.Routes = []Route{{Upstream: append(urls, dead.URL)}} })
	for range 12 {
		res, text, _ := b.get("/")
		if res.StatusCode != 200 {
			t.Fatalf("%d", res.StatusCode)
		}
		counts[text[0]-'0']++
	}
	if counts[0] < 4 || counts[1] < 4 {
		t.Errorf("uneven: %v", counts)
	}
}

func TestUpstreamFailures(t *testing.T) {
	dead := httptest.NewServer(nil)
	dead.Close()
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer slow.Close()
	defer close(release)
	garbage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(c, "nonsense\r\n\r\n")
			c.Close()
		}
	}))
	defer garbage.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler()) // a certificate that nobody here trusts
	secure.Config.ErrorLog = nil
	defer secure.Close()
	for _, tt := range []struct {
		name, url string
		code      int
		reason    string
	}{
		{"down", dead.URL, 502, "connect"}, {"slow", slow.URL, 504, "timeout"}, {"garbage", garbage.URL, 502, "protocol"},
		{"certificate", secure.URL, 502, "certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, tt.url, func(c *Config) { c.Routes[0].Timeouts.UpstreamHeader = config.Duration(50e6) })
			res, text, e := b.get("/")
			if res.StatusCode != tt.code || e.Response.Code != tt.code || text != http.StatusText(tt.code)+"\n" {
				t.Errorf("%d %q, event %d; want %d", res.StatusCode, text, e.Response.Code, tt.code)
			}
			if n := b.metric("warder_gateway_upstream_errors_total", "reason="+tt.reason); n != 1 {
				t.Errorf("%v errors with reason %s", n, tt.reason)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	b := start(t, echo(t).URL, func(c *Config) {
		c.MaxBody, c.MaxHeaderBytes, c.MaxHeaders = 10, 8<<10, 20
	})
	many := http.Header{"X-Many": strings.Split(strings.Repeat("a,", 30), ",")}
	for _, tt := range []struct {
		name   string
		header http.Header
		body   io.Reader
		code   int
	}{
		{"body fits", nil, strings.NewReader("0123456789"), 200},
		{"body by length", nil, strings.NewReader("0123456789x"), 413},
		{"body chunked", nil, io.MultiReader(strings.NewReader("0123456789"), strings.NewReader("x")), 413},
		{"many headers", many, nil, 431},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, _, e := b.do("POST", "/", tt.header, tt.body)
			if res.StatusCode != tt.code || e.Response.Code != tt.code {
				t.Errorf("%d, event %d; want %d", res.StatusCode, e.Response.Code, tt.code)
			}
		})
	}
}

func TestRequestsThatTheParserRefusesHaveEvents(t *testing.T) {
	b := start(t, echo(t).URL, func(c *Config) { c.MaxHeaderBytes = 8 << 10 })
	for _, tt := range []struct {
		name, text string
		code       int
	}{
		{"header too large", "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("a", 16<<10) + "\r\n\r\n", 431},
		{"no request", "\x16\x03\x01 hello\r\n\r\n", 400},
		{"bad escape", "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
		{"unknown transfer encoding", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xx\r\n\r\n", 501},
		{"unknown expectation", "GET / HTTP/1.1\r\nHost: h\r\nExpect: gold\r\nConnection: close\r\n\r\n", 417},
		{"second request", "GET / HTTP/1.1\r\nHost: h\r\n\r\nnonsense\r\n\r\n", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer := b.raw(tt.text)
			if !strings.Contains(answer, fmt.Sprintf("HTTP/1.1 %d ", tt.code)) {
				t.Errorf("answer %.100q", answer)
			}
			if tt.name == "second request" {
				b.event()
			}
			e := b.event()
			if e.Response.Code != tt.code || e.Source.Address.String() != "127.0.0.1" || e.Ext["refused_by"] != "http_parser" {
				t.Errorf("event %+v %+v %v", e.Response, e.Source, e.Ext)
			}
		})
	}
	if n := b.metric("warder_gateway_refused_total", "reason=malformed"); n != 7 {
		t.Errorf("%v counted", n)
	}
	if answer := b.raw("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\n\r\n"); !strings.Contains(answer, "405") {
		t.Errorf("CONNECT: %.100q", answer)
	}
	if e := b.event(); e.Response.Code != 405 {
		t.Errorf("CONNECT: %+v", e.Response)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	b := start(t, echo(t).URL, func(c *Config) { c.MaxConnections = 1 })
	for range 3 { // each closes its connection, or the next one would wait for ever
		if answer := b.raw("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); !strings.Contains(answer, "200 OK") {
			t.Errorf("answer %q", answer)
		}
	}
}

func TestStalledBodyIsEnded(t *testing.T) {
	b := start(t, echo(t).URL, func(c *Config) { c.Timeouts.ReadBody = config.Duration(50e6) })
	answer := b.raw("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
	if e := b.event(); e.Response.Code != 408 || e.Request.Size != 3 || !strings.Contains(answer, "408 Request Timeout") {
		t.Errorf("event %+v, size %d, answer %.60q", e.Response, e.Request.Size, answer)
	}
}
