package nftables

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/internal/decision"
)

func open(t testing.TB, cfg Config) *Gateway {
	t.Helper()
	g, err := New(cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// fake returns a configuration for a fake nft, and the file of its state.
func fake(t testing.TB) (Config, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kernel")
	if err := (kernel{}).save(file); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Command = []string{self, asNFT, file}
	return cfg, file
}

func state(t testing.TB, file string) kernel {
	t.Helper()
	k, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func change(t testing.TB, file string, edit func(*kernel)) {
	t.Helper()
	k := state(t, file)
	edit(&k)
	if err := k.save(file); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) *gatewaytest.Rig {
		cfg, file := fake(t)
		g := open(t, cfg)
		return &gatewaytest.Rig{
			Sync: func(ctx context.Context, want ...*decision.Decision) error {
				_, err := g.Sync(ctx, want, false)
				return err
			},
			Ask: func(_ context.Context, q gatewaytest.Request) (gatewaytest.Answer, error) {
				k, err := load(file)
				if k.drops(q.Address, "input") {
					return gatewaytest.Answer{Status: -1}, err
				}
				return gatewaytest.Answer{Status: 200}, err
			},
			Restart:  func(context.Context) error { g = open(t, cfg); return nil },
			Supports: func(d *decision.Decision) error { return g.Supports(d) },
			Tamper: func(context.Context) error {
				change(t, file, func(k *kernel) {
					k.Sets = map[string][]elem{blocked4: {{gatewaytest.Foreign, gatewaytest.Foreign, time.Now().Add(time.Hour)}}}
				})
				return nil
			},
			Size:    func(context.Context) (int, error) { return state(t, file).size(), nil },
			Expires: true, Refused: -1,
		}
	})
}

func block(scope decision.Scope, value string) *decision.Decision {
	return gatewaytest.New(decision.Block, decision.Term{Scope: scope, Value: value})
}

func sync(t testing.TB, g *Gateway, verify bool, repaired int, want ...*decision.Decision) {
	t.Helper()
	n, err := g.Sync(t.Context(), want, verify)
	if err != nil {
		t.Fatal(err)
	}
	if n != repaired {
		t.Errorf("%d repaired, want %d", n, repaired)
	}
}

// What is as it should be is not written again; what is not is repaired and counted.
func TestVerify(t *testing.T) {
	cfg, file := fake(t)
	cfg.Forward = true
	g := open(t, cfg)
	want := []*decision.Decision{block(decision.Address, "203.0.113.9"), block(decision.CIDR, "198.51.100.0/24"), block(decision.CIDR, "2001:db8::/32")}
	sync(t, g, true, 4, want...)
	sync(t, g, true, 0, want...)
	sync(t, g, false, 0, want...)
	if n := state(t, file).Writes; n != 1 {
		t.Errorf("%d writes of the same", n)
	}
	if k := state(t, file); !k.drops(netip.MustParseAddr("198.51.100.7"), "forward") {
		t.Error("what is forwarded is not dropped")
	}
	for _, c := range []struct {
		name     string
		repaired int
		edit     func(*kernel)
	}{
		{"the table is gone", 4, func(k *kernel) { k.Exists = false }},
		{"an element is gone", 1, func(k *kernel) { k.Sets[blocked6] = nil }},
		{"an element ends early", 1, func(k *kernel) { k.Sets[blocked6][0].Until = time.Now().Add(time.Minute) }},
		{"an element is foreign", 1, func(k *kernel) {
			a := netip.MustParseAddr("192.0.2.1")
			k.Sets[blocked4] = append(k.Sets[blocked4], elem{a, a, time.Now().Add(time.Hour)})
		}},
		{"a rule is gone", 1, func(k *kernel) { k.Chains["forward"] = k.Chains["forward"][:2] }},
		{"a chain is gone", 1, func(k *kernel) { delete(k.Chains, "input") }},
		{"a set is foreign", 1, func(k *kernel) { k.Sets["mine"] = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			change(t, file, c.edit)
			sync(t, g, true, c.repaired, want...)
			sync(t, g, true, 0, want...)
		})
	}
}

func TestErrors(t *testing.T) {
	cfg, file := fake(t)
	for _, c := range []struct{ fail, want string }{
		{"Could not process rule: Operation not permitted (you must be root)", "CAP_NET_ADMIN"},
		{"syntax error", "syntax error"},
	} {
		change(t, file, func(k *kernel) { k.Fail = c.fail })
		if _, err := open(t, cfg).Sync(t.Context(), nil, false); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.fail, err)
		}
	}
	cfg.Command = []string{filepath.Join(t.TempDir(), "nft")}
	if _, err := open(t, cfg).Sync(t.Context(), nil, false); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without nft: %v", err)
	}
	many := make([]*decision.Decision, MaxRanges+1)
	for i := range many {
		many[i] = block(decision.Address, netip.AddrFrom4([4]byte{10, byte(i >> 15), byte(i >> 7), byte(i << 1)}).String())
	}
	if _, err := open(t, cfg).Sync(t.Context(), many, false); err == nil || !strings.Contains(err.Error(), "limit is 100000") {
		t.Errorf("too many: %v", err)
	}
}

func TestConfig(t *testing.T) {
	cfg := DefaultConfig()
	if err := yaml.Unmarshal([]byte("name: edge\nresync: 5s\ncommand: [ip, netns, exec, edge, nft]\nforward: true"), &cfg); err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Name, want.Forward, want.Command = "edge", true, []string{"ip", "netns", "exec", "edge", "nft"}
	want.Push.Resync = cfg.Push.Resync
	if diff := cmp.Diff(want, cfg); diff != "" || cfg.Push.Resync.Std() != 5*time.Second {
		t.Error(diff)
	}
	for text, says := range map[string]string{"name: ''": "name", "command: []": "command", "command: [nft, \"\\0\"]": "command[1]", "resync: 1ms": "resync"} {
		bad := DefaultConfig()
		if err := yaml.Unmarshal([]byte(text), &bad); err != nil {
			t.Fatal(err)
		}
		if _, err := New(bad, nil, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Whatever prefixes: each address is dropped as long as the decision about it that lasts longest, and no range overlaps another.
func TestSpans(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		base := netip.MustParsePrefix([]string{"0.0.0.0/27", "255.255.255.224/27", "2001:db8::/123", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffe0/123"}[seed%4])
		var want []*decision.Decision
		until := map[netip.Addr]time.Time{}
		for range r.IntN(8) {
			b := base.Addr().AsSlice()
			b[len(b)-1] += byte(r.IntN(32))
			a, _ := netip.AddrFromSlice(b)
			p, _ := a.Prefix(base.Bits() + r.IntN(6))
			d := block(decision.CIDR, p.String())
			d.Expires = now.Add(time.Duration(1+r.IntN(4)) * time.Hour)
			want = append(want, d)
			for x := p.Addr(); x.IsValid() && p.Contains(x); x = x.Next() {
				if until[x].Before(d.Expires) {
					until[x] = d.Expires
				}
			}
		}
		all, err := spans(want)
		if err != nil {
			t.Fatal(err)
		}
		got := map[netip.Addr]time.Time{}
		for i, s := range all {
			if i > 0 && (s.first.Compare(all[i-1].last) <= 0 || s.first == all[i-1].last.Next() && s.until.Equal(all[i-1].until)) {
				t.Fatalf("seed %d: %v after %v", seed, s, all[i-1])
			}
			for x := s.first; x.IsValid() && x.Compare(s.last) <= 0; x = x.Next() {
				got[x] = s.until
			}
		}
		if diff := cmp.Diff(until, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		later := now.Add(2 * time.Hour) // what the kernel has left then is what is wanted then
		rest, _ := spans(slices.DeleteFunc(want, func(d *decision.Decision) bool { return !later.Before(d.Expires) }))
		if !equal(inForce(all, later), rest) {
			t.Fatalf("seed %d: left %v, want %v", seed, inForce(all, later), rest)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"nftables":[
		{"set":{"name":"blocked4","elem":["1.2.3.4",{"prefix":{"addr":"10.0.0.0","len":8}},
			{"elem":{"val":{"range":["1.2.3.5","1.2.3.9"]},"timeout":2,"expires":1}}]}},
		{"chain":{"name":"input","type":"filter","hook":"input","policy":"accept"}},
		{"rule":{"chain":"input","expr":[{"match":{"right":"@blocked4"}},{"drop":null}]}}]}`))
	f.Add([]byte(`{"nftables":[{"set":{"name":"blocked6","elem":[null,7,{"elem":{"val":null,"expires":-9}}]}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		now := time.Now()
		got, err := decode(b, now)
		if err != nil {
			return
		}
		for _, s := range got.spans {
			if !s.first.IsValid() || !s.last.IsValid() || s.until.Before(now) || s.until.After(now.Add(forever)) {
				t.Errorf("%+v", s)
			}
		}
	})
}
