package nginx

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

func open(t testing.TB, cfg Config) *Gateway {
	t.Helper()
	g, err := New(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// fake returns a configuration for a fake NGINX, and the file with what that has read.
func fake(t testing.TB) (Config, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg, loaded := DefaultConfig(), filepath.Join(dir, "loaded")
	cfg.File, cfg.Principal, cfg.MinInterval = filepath.Join(dir, "blocked.conf"), "$jwt_claim_sub", 0
	cfg.Test = []string{self, asNGINX, "test", cfg.File}
	cfg.Reload = []string{self, asNGINX, "reload", cfg.File, loaded}
	return cfg, loaded
}

// rig is a gateway whose Sync is followed by done and that is asked by ask.
func rig(t *testing.T, cfg Config, done func(*Gateway), ask func(context.Context, gatewaytest.Request) (gatewaytest.Answer, error)) *gatewaytest.Rig {
	g := open(t, cfg)
	return &gatewaytest.Rig{
		Sync: func(ctx context.Context, want ...*decision.Decision) error {
			_, err := g.Sync(ctx, want, false)
			done(g)
			return err
		},
		Ask:      ask,
		Restart:  func(context.Context) error { g = open(t, cfg); return nil },
		Supports: func(d *decision.Decision) error { return g.Supports(d) },
		Tamper: func(ctx context.Context) error {
			other := open(t, cfg)
			_, err := other.Sync(ctx, []*decision.Decision{block(decision.Address, gatewaytest.Foreign.String())}, false)
			done(other)
			return err
		},
		Size: func(context.Context) (int, error) {
			text, _, err := readFile(cfg.File)
			return strings.Count(text, "\n"), err
		},
	}
}

func TestConformance(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
		cfg, loaded := fake(t)
		return rig(t, cfg, func(*Gateway) {}, func(_ context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) {
			text, _, err := readFile(loaded)
			if err != nil {
				return gatewaytest.Answer{}, err
			}
			r, err := parse(text)
			return r.ask(q), err
		})
	})
}

func block(scope decision.Scope, value string) *decision.Decision {
	return gatewaytest.New(decision.Block, decision.Term{Scope: scope, Value: value})
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, _, err := readFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A configuration that fails its test is not loaded, and what was there before is back.
func TestTestFails(t *testing.T) {
	cfg, loaded := fake(t)
	g := open(t, cfg)
	for _, before := range []bool{false, true} {
		want := block(decision.Address, "203.0.113.9")
		old := read(t, cfg.File)
		g.cfg.Test = []string{cfg.Test[0], asNGINX, "test", filepath.Join(t.TempDir(), "none")}
		_, err := g.Sync(t.Context(), []*decision.Decision{want, block(decision.UserAgent, "x")}, false)
		if err == nil || !strings.Contains(err.Error(), "[emerg]") || !strings.Contains(err.Error(), "the old one is kept") {
			t.Errorf("before %v: %v", before, err)
		}
		if _, there, _ := readFile(cfg.File); there != before || read(t, cfg.File) != old || read(t, loaded) != old {
			t.Errorf("before %v: the file is %q (%v), %q is loaded, want %q", before, read(t, cfg.File), there, read(t, loaded), old)
		}
		g.cfg.Test = cfg.Test
		if _, err := g.Sync(t.Context(), []*decision.Decision{want}, false); err != nil || !strings.Contains(read(t, loaded), want.ID) {
			t.Errorf("before %v: %v", before, err)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(cfg.File), "*")); len(names) != 2 {
		t.Errorf("left behind: %q", names)
	}
}

func TestVerify(t *testing.T) {
	cfg, _ := fake(t)
	g := open(t, cfg)
	want := []*decision.Decision{block(decision.Address, "203.0.113.9"), block(decision.CIDR, "203.0.113.9/32"), block(decision.UserAgent, "x")}
	sync := func(repaired int) {
		t.Helper()
		if n, err := g.Sync(t.Context(), want, true); err != nil || n != repaired {
			t.Errorf("%d repaired, want %d: %v", n, repaired, err)
		}
	}
	sync(12) // lines
	sync(0)
	text := read(t, cfg.File)
	for _, c := range []struct {
		text     string
		repaired int
	}{
		{strings.Replace(text, "203.0.113.9/32", "203.0.113.8/32", 1), 2},
		{strings.Replace(text, `"~\Ax\z"`, `"~x"`, 1), 2},
		{text + "}", 1},
	} {
		if err := os.WriteFile(cfg.File, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		sync(c.repaired)
		if diff := cmp.Diff(text, read(t, cfg.File)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestMinInterval(t *testing.T) {
	cfg, _ := fake(t)
	cfg.MinInterval = config.Duration(300 * time.Millisecond)
	g := open(t, cfg)
	var last time.Time
	for i := range 3 {
		if _, err := g.Sync(t.Context(), []*decision.Decision{block(decision.UserAgent, strconv.Itoa(i))}, false); err != nil {
			t.Fatal(err)
		}
		if i > 0 && g.reloaded.Sub(last) < cfg.MinInterval.Std() {
			t.Errorf("reload %d after %v", i, g.reloaded.Sub(last))
		}
		last = g.reloaded
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Sync(ctx, nil, false); err == nil {
		t.Error("it does not end with its context")
	}
}

func TestPIDFile(t *testing.T) {
	cfg, _ := fake(t)
	cfg.PIDFile = filepath.Join(filepath.Dir(cfg.File), "nginx.pid")
	g := open(t, cfg)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for _, text := range []string{"", "-1\n", "0", "1", "nobody"} {
		if _, err := g.Sync(t.Context(), nil, false); err == nil {
			t.Error("a reload without a process")
		}
		if err := os.WriteFile(cfg.PIDFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(cfg.PIDFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Sync(t.Context(), nil, false); err != nil {
		t.Fatal(err)
	}
	<-hup
}

func TestBounds(t *testing.T) {
	cfg, _ := fake(t)
	var many []*decision.Decision
	for i := range MaxNames + 1 {
		many = append(many, block(decision.UserAgent, fmt.Sprint(i)))
	}
	if _, err := open(t, cfg).Sync(t.Context(), many, false); err == nil || !strings.Contains(err.Error(), "limits are") {
		t.Error(err)
	}
}

func TestSupports(t *testing.T) {
	cfg, _ := fake(t)
	with := open(t, cfg)
	cfg.Principal = ""
	without := open(t, cfg)
	p := block(decision.Principal, "mallory")
	if with.Supports(p) != nil || without.Supports(p) == nil {
		t.Error("a principal needs a variable, and no more")
	}
	odd := *p
	for _, odd.ID = range []string{"", "0", "a b", "$x", "é", strings.Repeat("a", 65)} {
		if with.Supports(&odd) == nil {
			t.Errorf("the id %q", odd.ID)
		}
	}
}

func TestConfig(t *testing.T) {
	cfg := DefaultConfig()
	text := "name: edge\nfile: /a/b\nprincipal: $jwt_claim_sub\ntest: [a, -t]\nreload: [b]\npid_file: /c\nmin_interval: 3s"
	if err := yaml.Unmarshal([]byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	want := Config{"edge", DefaultConfig().Push, "/a/b", "$jwt_claim_sub", []string{"a", "-t"}, []string{"b"}, "/c", config.Duration(3 * time.Second)}
	if diff := cmp.Diff(want, cfg); diff != "" || cfg.Validate() != nil {
		t.Error(diff, cfg.Validate())
	}
	for text, says := range map[string]string{"name: ''": "name", "file: a": "file", "principal: sub": "principal", `principal: "$a {"`: "principal",
		"test: []": "test", "reload: []": "reload", "pid_file: x": "pid_file", "min_interval: 10s": "min_interval", "timeout: 0s": "timeout"} {
		bad := DefaultConfig()
		if err := yaml.Unmarshal([]byte(text), &bad); err != nil {
			t.Fatal(err)
		}
		if _, err := New(bad, nil, nil); err == nil || !strings.Contains(err.Error(), says+":") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Whatever a value is, the file has one entry that matches it and nothing else.
func FuzzRender(f *testing.F) {
	for _, s := range []string{`evil/1.0 (x; "y")`, "a\";}\nmap $x $y {", `\`, `\z" id; "`, "$remote_addr", "é\x00\xff", "{};#'", "default", "~.*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if len(value) > decision.MaxValue {
			return
		}
		p := &decision.Decision{ID: "a1", Scope: decision.Principal, Value: value}
		u := &decision.Decision{ID: "b2", Scope: decision.UserAgent, Value: value}
		text, err := render([]*decision.Decision{p, u}, "$who")
		if err != nil {
			t.Fatal(err)
		}
		got, err := parse(text)
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if diff := cmp.Diff([]map[string]string{{value: "a1"}, {value: "b2"}}, []map[string]string{got.principals, got.agents}); diff != "" {
			t.Error(diff)
		}
		if slices.ContainsFunc(strings.Split(text, "\n"), func(l string) bool { return len(l) > 4000 }) {
			t.Error("a line is longer than NGINX reads")
		}
	})
}
