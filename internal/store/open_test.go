package store_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
	"github.com/warder/warder/internal/tlsconf"
)

func open(t *testing.T, cfg store.Config) (*store.Store, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return store.Open(ctx, cfg, slog.New(slog.DiscardHandler), nil)
}

func TestOpenTwiceAndAtOnce(t *testing.T) {
	cfg := storetest.Config(t)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			s, err := open(t, cfg)
			if errs[i] = err; err == nil {
				errs[i] = s.Close()
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	s := storetest.OpenConfig(t, cfg)
	if err := s.InsertEvents(t.Context(), 0, run("a", 1, 3, noon())); err != nil {
		t.Fatal(err)
	}
	storetest.OpenConfig(t, cfg)
	if got := count(t, cfg, "events"); got != 3 {
		t.Errorf("%d rows after opening again, want 3", got)
	}
}

// A store that is opened again after a server that could not be reached goes on with the same metrics.
func TestOpenAgainWithMetrics(t *testing.T) {
	cfg := storetest.Config(t)
	away := cfg
	away.Addrs = []string{"127.0.0.1:1"}
	reg := prometheus.NewRegistry()
	log := slog.New(slog.DiscardHandler)
	for range 2 {
		if _, err := store.Open(t.Context(), away, log, reg); err == nil || !strings.Contains(err.Error(), "store.addrs") {
			t.Errorf("got %v, want an error that names store.addrs", err)
		}
	}
	s, err := store.Open(t.Context(), cfg, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.InsertEvents(t.Context(), 0, run("a", 1, 3, noon())); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "warder_store_inserted_total" && m.GetLabel()[0].GetValue() == "events" && m.GetCounter().GetValue() == 3 {
				return
			}
		}
	}
	t.Error("the inserted rows were not counted in the registry")
}

func TestNewerSchemaIsRefused(t *testing.T) {
	cfg := storetest.Config(t)
	storetest.OpenConfig(t, cfg)
	if err := storetest.Conn(t, cfg).Exec(t.Context(), "INSERT INTO schema_migrations (version, name) VALUES (9999, 'future')"); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, cfg)
	if err == nil || !strings.Contains(err.Error(), "schema version 9999") || !strings.Contains(err.Error(), cfg.Database) {
		t.Errorf("want an error about the schema version, got %v", err)
	}
}

func TestRetentionFollowsTheConfiguration(t *testing.T) {
	cfg := storetest.Config(t)
	for _, c := range []struct {
		keep config.Duration
		want string
	}{{config.Duration(48 * time.Hour), "TTL toDateTime(time) + toIntervalSecond(172800)"}, {config.Duration(72 * time.Hour), "toIntervalSecond(259200)"}, {0, ""}} {
		cfg.Retention.Events = c.keep
		storetest.OpenConfig(t, cfg)
		var got string
		if err := storetest.Conn(t, cfg).QueryRow(t.Context(), "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'events'").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, c.want) || c.keep == 0 && strings.Contains(got, "TTL") {
			t.Errorf("retention %s: engine is %s", c.keep, got)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	good := storetest.Config(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := silent.Addr().String()
	_ = silent.Close()
	secure := httptest.NewTLSServer(nil)
	t.Cleanup(secure.Close)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)

	for _, c := range []struct {
		name string
		edit func(*store.Config)
		want []string
	}{
		{"nobody listens", func(c *store.Config) { c.Addrs = []string{free} }, []string{free, "cannot be reached", "store.addrs"}},
		{"nobody listens, native", func(c *store.Config) { c.Addrs, c.Protocol = []string{free}, store.Native }, []string{free, "cannot be reached"}},
		{"wrong password", func(c *store.Config) { c.Password = config.NewSecret("wrong-password") }, []string{good.Addrs[0], "refuses the login", "store.password"}},
		{"untrusted certificate", func(c *store.Config) {
			c.Addrs, c.Protocol, c.TLS.Enabled = []string{secure.Listener.Addr().String()}, store.HTTP, true
		}, []string{secure.Listener.Addr().String(), "not trusted", "store.tls.ca_file"}},
		{"wrong name in the certificate", func(c *store.Config) {
			c.Addrs, c.Protocol = []string{secure.Listener.Addr().String()}, store.HTTP
			c.TLS = tlsconf.Switched{Enabled: true, Client: tlsconf.Client{CAFile: authority(t, secure), ServerName: "clickhouse.internal"}}
		}, []string{secure.Listener.Addr().String(), "not trusted", "server_name"}},
		{"no TLS there", func(c *store.Config) { c.TLS.Enabled = true }, []string{good.Addrs[0], "does not speak TLS"}},
		{"no address", func(c *store.Config) { c.Addrs = nil }, []string{"addrs", "embedded"}},
		{"bad database", func(c *store.Config) { c.Database = "a`; DROP" }, []string{"database"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := good
			c.edit(&cfg)
			s, err := open(t, cfg)
			if err == nil {
				_ = s.Close()
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error does not mention %q: %v", w, err)
				}
			}
			if strings.Contains(err.Error(), "wrong-password") {
				t.Errorf("error holds the password: %v", err)
			}
		})
	}
}

// authority writes the test server's certificate to a file.
func authority(t *testing.T, s *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate(s.TLS.Certificates[0]).Certificate[0]}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestValidate(t *testing.T) {
	cfg := store.DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	cfg.Addrs = []string{"nonsense"}
	cfg.Protocol, cfg.Database = "ftp", "default"
	cfg.Retention.Audit, cfg.Limits.Time, cfg.Limits.Memory, cfg.Limits.Rows = 1, 0, 0, 0
	cfg.TLS = tlsconf.Switched{Enabled: true, Client: tlsconf.Client{CAFile: "/does/not/exist", CertFile: "/neither"}}
	err := cfg.Validate()
	for _, key := range []string{"addrs[0]", "protocol", "database", "retention.audit", "limits.time", "limits.memory", "limits.rows", "tls.ca_file", "tls.cert_file"} {
		if err == nil || !strings.Contains(err.Error(), key+":") {
			t.Errorf("no fault named %s in: %v", key, err)
		}
	}
}
