package waf

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustNew(t testing.TB, change func(*Config)) *WAF {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Enabled = true
	if change != nil {
		change(&cfg)
	}
	w, err := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// request is an event of a browser's request.
func request(target string) *event.Event {
	e := &event.Event{ID: event.NewID("test", 1), Tap: "test", Seq: 1, Time: time.Unix(1_700_000_000, 0).UTC()}
	path, query, _ := strings.Cut(target, "?")
	e.Request = event.RequestInfo{Method: "GET", Protocol: "HTTP/1.1", Host: "shop.example.com", Path: path, Query: query, UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36"}
	e.Source.Address = netip.MustParseAddr("203.0.113.9")
	e.Response.Code = 200
	return e
}

func TestInspect(t *testing.T) {
	with := func(target string, change func(*event.Event)) *event.Event {
		e := request(target)
		change(e)
		return e
	}
	for name, tc := range map[string]struct {
		e        *event.Event
		paranoia int
		exclude  []int
		want     event.WAF
	}{
		"ordinary":        {e: request("/products/17?sort=price")},
		"strictest":       {e: request("/products/17?sort=price"), paranoia: 4},
		"SQL injection":   {e: request("/search?q=1%27+or+1%3D1--+"), want: event.WAF{Score: 5, Rules: []string{"942100"}}},
		"script":          {e: request("/a?x=<script>alert(1)</script>"), want: event.WAF{Score: 20, Rules: []string{"941100", "941110", "941160", "941390"}}},
		"left out":        {e: request("/search?q=1%27+or+1%3D1--+"), exclude: []int{942100}},
		"encoded path":    {e: request("/..%2f..%2f..%2fetc/passwd"), want: event.WAF{Score: 10, Rules: []string{"930100", "930110"}}},
		"user agent":      {e: with("/", func(e *event.Event) { e.Request.UserAgent = "sqlmap/1.8" }), want: event.WAF{Score: 5, Rules: []string{"913100"}}},
		"header":          {e: with("/", func(e *event.Event) { e.Request.Headers = map[string]string{"x-api": "${jndi:ldap://x/a}"} }), want: event.WAF{Score: 5, Rules: []string{"944150"}}},
		"PUT":             {e: with("/users/7", func(e *event.Event) { e.Request.Method = "PUT" })},
		"unusual method":  {e: with("/users/7", func(e *event.Event) { e.Request.Method = "TRACE" }), want: event.WAF{Score: 5, Rules: []string{"911100"}}},
		"POST, no length": {e: with("/users", func(e *event.Event) { e.Request.Method = "POST" })},
		"nothing known":   {e: &event.Event{Request: event.RequestInfo{Path: "/"}}, paranoia: 4},
		"redacted": {e: with("/login?password=<redacted>&next=/", func(e *event.Event) {
			e.Request.Headers = map[string]string{"authorization": "Bearer <redacted>", "cookie": "<redacted>"}
		}), paranoia: 2},
		"broken escapes":    {e: request("/a%zz?b=%")},
		"unreadable":        {e: with("", func(e *event.Event) { e.Request.Path, e.Request.Method = "\x16\x03\x01\x02", "" }), want: event.WAF{Score: 3, Rules: []string{"920100"}}},
		"server error":      {e: with("/", func(e *event.Event) { e.Response.Code = 500 }), paranoia: 2, want: event.WAF{Rules: []string{"950100"}}},
		"another's opinion": {e: with("/a?x=<script>", func(e *event.Event) { e.WAF.Score = 3 }), want: event.WAF{Score: 3}},
		"refused":           {e: with("/a?x=<script>", func(e *event.Event) { e.Enforced.Action = "block" })},
		"many parameters":   {e: request("/a?x=<script>" + strings.Repeat("&a=1", 256))},
		"long":              {e: request("/a?x=<script>" + strings.Repeat("a", 17<<10))},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustNew(t, func(c *Config) { c.Paranoia, c.Exclude = max(1, tc.paranoia), tc.exclude })
			w.Inspect(tc.e)
			if diff := cmp.Diff(tc.want, tc.e.WAF); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A request of many attacks does not exceed the event's bounds.
func TestBounded(t *testing.T) {
	w := mustNew(t, func(c *Config) { c.Paranoia = 4 })
	e := request("/../../etc/passwd?a=<script>alert(1)</script>&b=1'+union+select+1,2--&c=;cat+/etc/passwd&d=php://input&e=${jndi:ldap://x}&f=`id`&g=__proto__")
	if !w.Inspect(e) || e.WAF.Score < 50 || len(e.WAF.Rules) < 10 || len(e.WAF.Rules) > event.MaxList || !slices.IsSorted(e.WAF.Rules) {
		t.Errorf("%+v", e.WAF)
	}
}

func skipped(t *testing.T, w *WAF, reason string) float64 {
	t.Helper()
	var d dto.Metric
	if err := w.m.skipped.WithLabelValues(reason).Write(&d); err != nil {
		t.Fatal(err)
	}
	return d.GetCounter().GetValue()
}

func encoded(es ...*event.Event) (out [][]byte) {
	for i, e := range es {
		e.Seq, e.ID = uint64(i+1), event.NewID("test", uint64(i+1))
		out = append(out, e.Append(nil))
	}
	return out
}

func TestInspectEncoded(t *testing.T) {
	w := mustNew(t, func(c *Config) { c.Workers = 4; c.Budget = config.Duration(10 * time.Second) })
	attack := request("/a?x=<script>alert(1)</script>")
	beat := &event.Event{Tap: "test", Kind: event.Heartbeat, Time: attack.Time}
	values := encoded(request("/"), attack, beat, request("/b"))
	values = append(values, []byte("garbage"))
	before := slices.Clone(values)
	w.InspectEncoded(context.Background(), values)
	for i, v := range values {
		if i != 1 && string(v) != string(before[i]) {
			t.Errorf("event %d was changed", i)
		}
	}
	got, err := event.Decode(values[1])
	if err != nil {
		t.Fatal(err)
	}
	attack.WAF = event.WAF{Score: 20, Rules: []string{"941100", "941110", "941160", "941390"}}
	if diff := cmp.Diff(attack, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if n := skipped(t, w, skipFailed); n != 1 {
		t.Errorf("%v events failed, want the one that is garbage", n)
	}
	w.InspectEncoded(context.Background(), nil)
}

// When the budget is used up the rest goes on as it is, and is counted.
func TestBudget(t *testing.T) {
	w := mustNew(t, func(c *Config) { c.Workers = 1 })
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	values := encoded(request("/a?x=<script>alert(1)</script>"), request("/"))
	before := slices.Clone(values)
	w.InspectEncoded(ctx, values)
	if diff := cmp.Diff(before, values); diff != "" {
		t.Error(diff)
	}
	if n := skipped(t, w, skipBudget); n != 2 {
		t.Errorf("%v were counted, want 2", n)
	}
}

func TestSample(t *testing.T) {
	w := mustNew(t, func(c *Config) { c.Sample = 0.25 })
	in := 0
	for i := range uint64(4000) {
		e := &event.Event{ID: event.NewID("file:0123456789abcdef", 1+200*i)}
		first, second := w.skip(e), w.skip(e)
		if first != second {
			t.Fatal("an event is in the sample now and then")
		}
		if first == "" {
			in++
		}
	}
	if in < 900 || in > 1100 {
		t.Errorf("%d of 4000 are in the sample, want about 1000", in)
	}
}

func TestValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"paranoia: 5 is not a paranoia level: want 1 to 4": func(c *Config) { c.Paranoia = 5 },
		"exclude[1]: 949110 is no id of a detecting rule":  func(c *Config) { c.Exclude = []int{942100, 949110} },
		"sample: 0 is not a share":                         func(c *Config) { c.Sample = 0 },
		"max_size: 1 is out of range: want 1KiB to 128KiB": func(c *Config) { c.MaxSize = 1 },
		"budget: 1m0s is out of range: want 1ms to 10s":    func(c *Config) { c.Budget = config.Duration(time.Minute) },
		"workers: -1 is out of range: want 0 to 256":       func(c *Config) { c.Workers = -1 },
		"exclude: 1001 rules, limit is 1000":               func(c *Config) { c.Exclude = slices.Repeat([]int{942100}, 1001) },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if _, err := New(c, slog.New(slog.DiscardHandler), nil); err == nil {
			t.Errorf("New takes a configuration that has: %s", want)
		}
	}
}

// FuzzInspect gives hostile requests: Coraza must neither panic nor say what an event cannot hold.
func FuzzInspect(f *testing.F) {
	for _, s := range []string{"/?a=1", "/a%zz?b=%&c", "//\x00#?;=", "/?x=<script>&y=' or 1=1", "http://h/..;/a"} {
		f.Add("GET", s, "a: b", "HTTP/1.1")
	}
	w := mustNew(f, func(c *Config) { c.Paranoia = 4 })
	f.Fuzz(func(t *testing.T, method, target, header, protocol string) {
		e := request(target)
		e.Request.Method, e.Request.Protocol = method, protocol
		name, value, _ := strings.Cut(header, ": ")
		e.Request.Headers = map[string]string{strings.ToLower(name): value}
		e.Bound()
		if _, err := w.judge(e); err != nil {
			t.Fatal(err)
		}
		w.Inspect(e)
		before := len(e.WAF.Rules)
		if e.Bound(); len(e.WAF.Rules) != before || e.WAF.Score < 0 {
			t.Fatalf("%+v", e.WAF)
		}
	})
}
