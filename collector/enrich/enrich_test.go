package enrich

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/geo/geotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// full is a configuration of three databases and two lists.
func full(t testing.TB) Config {
	t.Helper()
	dir := t.TempDir()
	c := DefaultConfig()
	for name, n := range map[string]map[string]geotest.Map{
		"city": {"203.0.113.0/24": geotest.City("SE", "EU", "Falun")},
		"asn":  {"203.0.113.0/24": geotest.ASN(64500, "Example")},
		"anon": {"203.0.113.9/32": {"is_tor_exit_node": true}},
	} {
		path := filepath.Join(dir, name+".mmdb")
		geotest.Write(t, path, n)
		c.Geo.Databases = append(c.Geo.Databases, path)
	}
	for name, text := range map[string]string{"feed": "203.0.113.9\nnonsense\n198.51.100.1\n", "empty": "# nothing\n"} {
		path := filepath.Join(dir, name)
		write(t, path, text)
		c.Intel = append(c.Intel, IntelConfig{name, path})
	}
	return c
}

func mustNew(t testing.TB, c Config, log *slog.Logger) (*Enricher, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	x, err := New(c, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	return x, reg
}

// values reads all metrics without buckets, as "name{label} value".
func values(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func TestApply(t *testing.T) {
	x, reg := mustNew(t, full(t), slog.New(slog.DiscardHandler))
	at := func(address string) event.Event {
		e := event.Event{}
		if address != "" {
			e.Source.Address = netip.MustParseAddr(address)
		}
		return e
	}
	known := at("203.0.113.9")
	known.Source.Country, known.Source.ASN, known.Intel.Lists = "XX", 1, []string{"feed", "own"}
	beat := at("203.0.113.9")
	beat.Kind = event.Heartbeat
	for name, tc := range map[string]struct {
		e       event.Event
		country string
		asn     uint32
		lists   []string
	}{
		"all":           {at("203.0.113.9"), "SE", 64500, []string{"tor-exit-node", "feed"}},
		"place only":    {at("203.0.113.10"), "SE", 64500, nil},
		"list only":     {at("198.51.100.1"), "", 0, []string{"feed"}},
		"nothing":       {at("192.0.2.1"), "", 0, nil},
		"no address":    {at(""), "", 0, nil},
		"the tap knows": {known, "XX", 1, []string{"feed", "own", "tor-exit-node"}},
		"heartbeat":     {beat, "", 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := tc.e
			x.Apply(&e)
			if e.Source.Country != tc.country || e.Source.ASN != tc.asn {
				t.Errorf("country %q, asn %d", e.Source.Country, e.Source.ASN)
			}
			if diff := cmp.Diff(tc.lists, e.Intel.Lists); diff != "" {
				t.Error(diff)
			}
		})
	}
	if diff := cmp.Diff([]string{"feed", "own"}, known.Intel.Lists); diff != "" {
		t.Errorf("the tap's list was changed: %s", diff)
	}
	got := values(t, reg)
	for name, want := range map[string]float64{"warder_enrich_intel_entries feed": 2, "warder_enrich_intel_refused_lines feed": 1,
		"warder_enrich_intel_entries empty": 0, "warder_enrich_geo_built_seconds": 1767225600, "warder_enrich_geo_failed_total": 0} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

// Without a configuration nothing is added, and nothing is allocated.
func TestOff(t *testing.T) {
	x, _ := mustNew(t, DefaultConfig(), slog.New(slog.DiscardHandler))
	e := event.Event{}
	e.Source.Address = netip.MustParseAddr("203.0.113.9")
	e.Request.Query = "a=<script>alert(1)</script>"
	before := e
	x.Apply(&e)
	x.Judge(&e)
	x.JudgeEncoded(context.Background(), [][]byte{nil})
	if diff := cmp.Diff(before, e, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || x.Judges() {
		t.Error(diff)
	}
}

func TestNewErrors(t *testing.T) {
	c := full(t)
	c.Geo.Databases[1] = filepath.Join(t.TempDir(), "no.mmdb")
	c.Intel[0].File = filepath.Join(t.TempDir(), "no.txt")
	write(t, c.Intel[1].File, "<html>\n")
	_, err := New(c, slog.New(slog.DiscardHandler), nil)
	for _, want := range []string{
		"geo.databases[1]: " + c.Geo.Databases[1] + ": there is no such file; download it, or correct the path",
		"intel[0].file: " + c.Intel[0].File + ": there is no such file",
		"intel[1].file: " + c.Intel[1].File + ": 1 lines are no addresses and 0 are, line 1 is neither an address nor a network",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}

func TestValidate(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Geo.Databases = append(make([]string, 17), "x")
	c.Intel = []IntelConfig{{"a", "x"}, {"a", "y"}, {"", ""}}
	c.Refresh, c.WAF.Paranoia = config.Duration(time.Millisecond), 0
	err := c.Validate()
	for _, want := range []string{"geo.databases: 18 files, limit is 16", "geo.databases[0]: is empty", `intel[1].name: "a" is also the name of intel[0]`,
		`intel[2].name: "" is not a list's name`, "intel[2].file: is empty", "refresh: 1ms is out of range: want 1s to 1d", "waf.paranoia: 0 is not"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}

// A file that changes is used; one that becomes garbage is not, and that is said once.
func TestRun(t *testing.T) {
	c := full(t)
	var logged bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		x, reg := mustNew(t, c, slog.New(slog.NewTextHandler(&logged, nil)))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			x.Run(ctx)
		}()
		tick := func() { // lets the bubble's clock go past the next look at the files
			next := time.NewTimer(c.Refresh.Std() + time.Second)
			<-next.C
			synctest.Wait()
		}
		is := func(country string, lists ...string) {
			t.Helper()
			e := event.Event{}
			e.Source.Address = netip.MustParseAddr("203.0.113.77")
			x.Apply(&e)
			if diff := cmp.Diff(lists, e.Intel.Lists); diff != "" || e.Source.Country != country {
				t.Errorf("country %q, want %q; %s", e.Source.Country, country, diff)
			}
		}
		place := -1 // of the database of cities
		for i, p := range c.Geo.Databases {
			if strings.HasSuffix(p, "city.mmdb") {
				place = i
			}
		}
		is("SE")
		geotest.Write(t, c.Geo.Databases[place], map[string]geotest.Map{"203.0.113.0/24": geotest.City("FI", "EU", "")})
		write(t, c.Intel[0].File, "203.0.113.0/24\n")
		tick()
		is("FI", c.Intel[0].Name)
		write(t, c.Geo.Databases[place], "garbage")
		write(t, c.Intel[0].File, "<html>")
		tick()
		tick()
		is("FI", c.Intel[0].Name)
		got := values(t, reg)
		for _, kind := range []string{"geo", "intel"} {
			if got["warder_enrich_"+kind+"_stale"] != 1 || got["warder_enrich_reloads_total "+kind+" ok"] != 1 || got["warder_enrich_reloads_total "+kind+" failed"] != 1 {
				t.Errorf("%s: %v", kind, got)
			}
		}
		cancel()
		<-done
	})
	text := logged.String()
	for _, want := range []string{"level=WARN", "refused=1", "level=INFO", "what was read before stays in use"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "level=ERROR"); n != 2 {
		t.Errorf("%d errors, want one for each file\n%s", n, text)
	}
}

func BenchmarkApply(b *testing.B) {
	x, _ := mustNew(b, full(b), slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		e := event.Event{}
		e.Source.Address = netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
		x.Apply(&e)
	}
}
