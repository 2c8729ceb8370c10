package collector

import (
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

var update = flag.Bool("update", false, "rewrite golden files")

func mustNormaliser(t testing.TB, cfg NormaliseConfig) *Normaliser {
	t.Helper()
	n, err := NewNormaliser(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRoutes(t *testing.T) {
	cfg := DefaultNormaliseConfig()
	cfg.Routes.Patterns = []string{"/shop/{item}", "/shop/new", "/shop/{item}/reviews/{n}", "/static/{rest...}", "/"}
	n := mustNormaliser(t, cfg)
	for path, want := range map[string]string{
		"/shop/apple":         "/shop/{item}",
		"/shop/new":           "/shop/new",
		"/shop/new/reviews/1": "/shop/{item}/reviews/{n}",
		"/shop/apple/":        "/shop/{item}",
		"/static/a/b/c.css":   "/static/{rest...}",
		"/":                   "/",
		"/login":              "/login",
		"/%6cogin":            "/login",
		"/a/../login":         "/login",
		"//login":             "/login",
		"/users/42":           "/users/{id}",
		"/users/42/orders/7":  "/users/{id}/orders/{id}",
		"/o/550e8400-e29b-41d4-a716-446655440000": "/o/{id}",
		"/c/deadbeef01":                 "/c/{id}",
		"/c/facade":                     "/c/facade",
		"/blog/top-10-tips":             "/blog/top-10-tips",
		"/s/eyJhbGciOiJIUzI1NiJ9x":      "/s/{id}",
		"/x/" + strings.Repeat("a", 65): "/x/{id}",
		"/v1/users/3":                   "/v1/users/{id}",
		"/a/b/c/d/e/f/g/h/i/j/k/l/m/n":  "/a/b/c/d/e/f/g/h/i/j/k/l/{rest}",
		"\x16\x03\x01":                  "",
		"*":                             "",
		"/%zz/1":                        "/%zz/{id}",
	} {
		e := &event.Event{}
		e.Request.Path = path
		n.Apply(e)
		if e.API.Route != want {
			t.Errorf("%q: got %q, want %q", path, e.API.Route, want)
		}
		if e.Request.Path != path && !strings.Contains(path, "\x16") {
			t.Errorf("%q: path was changed to %q", path, e.Request.Path)
		}
	}
}

func TestRouteCardinality(t *testing.T) {
	cfg := DefaultNormaliseConfig()
	cfg.Routes.MaxPerHost = 10
	n := mustNormaliser(t, cfg)
	apply := func(host, path string, code int) string {
		e := &event.Event{}
		e.Request.Host, e.Request.Path, e.Response.Code = host, path, code
		n.Apply(e)
		return e.API.Route
	}
	distinct := map[string]bool{}
	for i := range 1000 {
		distinct[apply("a", fmt.Sprintf("/word%c%c", 'a'+i%26, 'a'+i/26), 404)] = true
	}
	if len(distinct) != 11 || !distinct[Other] {
		t.Errorf("%d distinct routes after a scan", len(distinct))
	}
	if got := apply("a", "/login", 401); got != "/login" {
		t.Errorf("a scan used up the routes that exist: %q", got)
	}
	for i := range 3000 {
		apply(fmt.Sprintf("host%d", i), "/", 200)
	}
	if len(n.routes.hosts) > maxHosts+1 {
		t.Errorf("%d hosts are kept", len(n.routes.hosts))
	}
	cfg.Routes.MaxPerHost = 0
	n = mustNormaliser(t, cfg)
	if got := apply("a", "/x", 404); got != "/x" || len(n.routes.hosts) != 0 {
		t.Errorf("without a bound nothing is kept: %q", got)
	}
}

func TestHostVersionAddress(t *testing.T) {
	n := mustNormaliser(t, DefaultNormaliseConfig())
	for _, tc := range []struct{ scheme, host, path, wantHost, wantVersion string }{
		{"https", "Example.COM:443", "/v1/x", "example.com", "v1"},
		{"http", "example.com:80", "/api/v2.1", "example.com", "v2.1"},
		{"http", "example.com:443", "/verbose", "example.com:443", ""},
		{"", "example.com:443", "/a/b/c/v1", "example.com", ""},
		{"", "example.com.", "/v", "example.com", ""},
		{"https", "[2001:db8::1]:443", "/v1.", "[2001:db8::1]", ""},
		{"https", "2001:db8::443", "/", "2001:db8::443", ""},
	} {
		e := &event.Event{}
		e.Request.Scheme, e.Request.Host, e.Request.Path = tc.scheme, tc.host, tc.path
		e.Source.Address = netip.MustParseAddr("::ffff:203.0.113.9")
		n.Apply(e)
		if e.Request.Host != tc.wantHost || e.API.Version != tc.wantVersion {
			t.Errorf("%+v: got %q %q", tc, e.Request.Host, e.API.Version)
		}
		if e.Source.Address.String() != "203.0.113.9" || e.Time.IsZero() {
			t.Errorf("got %s at %s", e.Source.Address, e.Time)
		}
	}
}

// TestRedactGolden shows what is left of queries and headers.
func TestRedactGolden(t *testing.T) {
	cfg := DefaultNormaliseConfig()
	cfg.Redact.SecretParameters = []string{"Kennwort"}
	cfg.Redact.SecretHeaders = []string{"X-House-Key"}
	cfg.Redact.KeepHeaders = []string{"*"}
	n := mustNormaliser(t, cfg)
	cfg.Redact.HashKey = config.NewSecret("k")
	hashed := mustNormaliser(t, cfg)
	var got strings.Builder
	for _, q := range []string{
		"", "a=1&b=2", "password=x", "user=bob&password=x&next=/", "PASSWORD=x;Token=y", "%70assword=x&p=1", "user[password]=x&user[name]=y",
		"data.token=x", "token[]=a&token[]=b", "token", "token=", "=x", "&&token=x&&", "code=4711&state=abc", "kennwort=x",
		"q=' OR password='x'--&id=1 UNION SELECT token FROM t", "file=../../etc/passwd&sid=1", "a=b=c&pin=1234", "tokens=5&mytoken=6",
		"x=%3Cscript%3Ealert(1)%3C/script%3E&jwt=eyJ.a.b", "pass word=x", "access_token=a%26b=c&d=e",
		"password[0]=x&user[pin][3]=y&v.1=z&token.0=t", "password[=x&[]=y&.=z",
	} {
		e := &event.Event{}
		e.Request.Query = q
		e.Request.Referer = "https://example.com/cb?" + q
		n.Apply(e)
		fmt.Fprintf(&got, "%s\n  → %s\n  → %s\n", q, e.Request.Query, e.Request.Referer)
	}
	for _, p := range []string{
		"/", "/cart;jsessionid=0123/items", "/a;v=1;JSESSIONID=x;w=2/b;token=y", "/;", "/;=;sid=", "/..;/admin;%73id=x", "/x;sid",
		"GET /login?password=x HTTP/1.1 garbled", "/a;sid=1?token=x;y&z=1", "https://example.com/cb;sid=x/y",
	} {
		e := &event.Event{}
		e.Request.Path, e.Request.Referer = p, p
		n.Apply(e)
		fmt.Fprintf(&got, "%s\n  → %s\n", p, e.Request.Path)
		if e.Request.Path != e.Request.Referer {
			t.Errorf("the referer is redacted differently: %s", e.Request.Referer)
		}
	}
	for _, n := range []*Normaliser{n, hashed} {
		e := &event.Event{}
		e.Request.Headers = map[string]string{"Authorization": "Bearer abc", "Cookie": "sid=1", "X-Api-Key": "k1", "X-House-Key": "k2",
			"Accept": "*/*", "User-Agent": "sqlmap", "X-Original-Url": "/admin?token=x&a=b", "Proxy-Authorization": "oddvaluewithoutscheme"}
		n.Apply(e)
		for _, k := range slices.Sorted(maps.Keys(e.Request.Headers)) {
			fmt.Fprintf(&got, "%s: %s\n", k, e.Request.Headers[k])
		}
	}
	const golden = "testdata/redact.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHeadersAllowList(t *testing.T) {
	n := mustNormaliser(t, DefaultNormaliseConfig())
	e := &event.Event{}
	e.Request.Headers = map[string]string{"Accept": "*/*", "X-Secret-Sauce": "x", "Cookie": "sid=1"}
	n.Apply(e)
	if diff := cmp.Diff(map[string]string{"accept": "*/*", "cookie": Redacted}, e.Request.Headers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzQuery: redaction keeps the parameters' structure, is stable, and leaves queries without secrets alone.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"a=1&password=x&b", "token=;;&&=", "%zz=1&sid=%", "user[pin]=1"} {
		f.Add(q)
	}
	r := newRedactor(DefaultRedactConfig())
	f.Fuzz(func(t *testing.T, q string) {
		got := r.query(q)
		if again := r.query(got); again != got {
			t.Fatalf("%q → %q → %q", q, got, again)
		}
		split := func(s string) []string {
			return strings.Split(s, "&")
		}
		was, is := split(q), split(got)
		if len(was) != len(is) {
			t.Fatalf("%q → %q: %d parameters became %d", q, got, len(was), len(is))
		}
		for i := range was {
			if kept, cut := strings.CutSuffix(is[i], "="+Redacted); is[i] != was[i] && (!cut || !strings.HasPrefix(was[i], kept+"=")) {
				t.Fatalf("%q → %q", was[i], is[i])
			}
		}
	})
}

func FuzzRoute(f *testing.F) {
	f.Add("/users/42")
	f.Add("/%2e%2e/..//x")
	cfg := DefaultRoutesConfig()
	cfg.Patterns = []string{"/a/{b}/c", "/a/{rest...}"}
	r, err := newRoutes(cfg, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if got := r.route("h", p, 200); len(got) > 0 && got[0] != '/' && got != Other {
			t.Fatalf("%q → %q", p, got)
		}
	})
}

func BenchmarkNormalise(b *testing.B) {
	n := mustNormaliser(b, DefaultNormaliseConfig())
	b.ReportAllocs()
	for b.Loop() {
		e := event.Event{}
		e.Request.Host, e.Request.Path, e.Request.Query = "example.com", "/users/42/orders", "a=1&b=2"
		n.Apply(&e)
	}
}
