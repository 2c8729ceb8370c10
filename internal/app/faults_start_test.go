package app_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/closedport"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// What keeps Warder from starting is said with its place and key, and a New that failed leaves nothing behind: no listener, no
// lock, no engine.
func TestStartErrors(t *testing.T) {
	t.Parallel()
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = occupied.Close() })
	for _, c := range []struct {
		name  string
		fault func(t *testing.T, c *app.Config, file string)
		want  []string // "FILE" stands for the file in the way
	}{
		{"data", func(_ *testing.T, c *app.Config, file string) { c.DataDir = file }, []string{"FILE", "data_dir"}},
		{"below data", func(_ *testing.T, c *app.Config, file string) { c.DataDir = file + "/x" }, []string{"FILE", "data_dir"}},
		{"broker", func(_ *testing.T, c *app.Config, file string) { c.Kafka.Embedded.Dir = file }, []string{"FILE", "kafka.embedded.dir"}},
		{"spool", func(_ *testing.T, c *app.Config, file string) { c.Collector.Spool.Dir = file }, []string{"FILE", "collector.spool.dir"}},
		{"gateway", func(_ *testing.T, c *app.Config, file string) { c.Gateway.DataDir = file }, []string{"FILE", "gateway.data_dir"}},
		{"engine", func(_ *testing.T, c *app.Config, file string) { c.Store.Addrs, c.Engine.Dir = nil, file }, []string{"FILE", "engine.dir"}},
		{"rule", func(t *testing.T, c *app.Config, _ string) {
			c.Rules.Paths = []string{filepath.Join(t.TempDir(), "broken.yaml")}
			broken := strings.Replace(attackRule, "startsWith(", "startsWth(", 1)
			if err := os.WriteFile(c.Rules.Paths[0], []byte(broken), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"broken.yaml:5:", "startsWth"}},
		{"no such rule", func(_ *testing.T, c *app.Config, _ string) { c.Rules.Disable = []string{"nobody"} }, []string{"rules.disable[0]", "nobody"}},
		{"certificate", func(_ *testing.T, c *app.Config, file string) {
			c.Gateway.TLS.CertFile, c.Gateway.TLS.KeyFile = file, file
		},
			[]string{"gateway.tls.cert_file"}},
		{"kafka authority", func(_ *testing.T, c *app.Config, file string) {
			c.Kafka.Brokers, c.Kafka.TLS.Enabled, c.Kafka.TLS.CAFile = []string{"127.0.0.1:1"}, true, file
		}, []string{"kafka.tls.ca_file", "FILE"}},
		{"sink's authority", func(_ *testing.T, c *app.Config, file string) { c.Sinks.Webhook[0].TLS.CAFile = file }, []string{"sinks.webhook[0]", "ca_file", "FILE"}},
		{"admin", func(_ *testing.T, c *app.Config, _ string) { c.Admin.Listen = occupied.Addr().String() },
			[]string{occupied.Addr().String(), "address already in use", "admin.listen"}},
		{"broker's port", func(_ *testing.T, c *app.Config, _ string) {
			c.Kafka.Embedded.Port = occupied.Addr().(*net.TCPAddr).Port
		},
			[]string{"address already in use", "kafka.embedded.port"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// A file where a folder should be: not even root can write there.
			in := file(t, t.TempDir(), "in-the-way", "not a folder\n")
			good := settings(t, "http://127.0.0.1:1", "http://127.0.0.1:1/hook")
			good.Admin.Listen, _ = closedport.Reserve(t)
			bad := good
			bad.Sinks.Webhook = append(bad.Sinks.Webhook[:0:0], good.Sinks.Webhook...)
			c.fault(t, &bad, in)
			book := newLogbook(t)
			a, err := app.New(t.Context(), bad, app.Roles(), book.logger())
			if err == nil {
				t.Fatal("it starts", a.Close())
			}
			t.Log(err)
			for _, want := range c.want {
				if !strings.Contains(err.Error(), strings.ReplaceAll(want, "FILE", in)) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if l := book.find("embedded store engine started"); l != "" {
				t.Errorf("an engine was started for nothing: %s", l)
			}
			// The same folders and the same admin address, without the fault.
			a, err = app.New(t.Context(), good, app.Roles(), book.logger())
			if err != nil {
				t.Fatalf("after the failed start: %v", err)
			}
			if err := errors.Join(a.Close(), a.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Two processes cannot share a data directory; the first one is not disturbed.
func TestDataDirectoryHeld(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	<-r.app.Up()
	for _, c := range []struct {
		name   string
		change func(*app.Config)
		want   []string
	}{
		{"broker", func(*app.Config) {}, []string{filepath.Join(r.cfg.DataDir, "kafka"), "another process", "kafka.embedded.dir", "data_dir"}},
		{"spool", func(c *app.Config) { c.Kafka.Brokers = []string{"127.0.0.1:1"} },
			[]string{filepath.Join(r.cfg.DataDir, "spool"), "another process", "collector.spool.dir", "data_dir"}},
	} {
		second := r.cfg
		c.change(&second)
		_, err := app.New(t.Context(), second, app.Roles(), r.log.logger())
		if err == nil || !containsAll(err.Error(), c.want...) {
			t.Errorf("%s: got %v, want it to say %q", c.name, err, c.want)
		}
	}
	r.closes("203.0.113.1")
	r.stored()
}

// The gateway's address is taken: the process ends and says so.
func TestGatewayAddressTaken(t *testing.T) {
	t.Parallel()
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	cfg := settings(t, "http://127.0.0.1:1", "http://127.0.0.1:1/hook")
	cfg.Gateway.Listen = occupied.Addr().String()
	err = runToEnd(t, cfg, app.Roles())
	if err == nil || !containsAll(err.Error(), occupied.Addr().String(), "gateway: listen on", "address already in use") {
		t.Errorf("got %v", err)
	}
}

// runToEnd runs the roles, which are to end by themselves, and returns why they did.
func runToEnd(t *testing.T, cfg app.Config, roles []app.Role) error {
	t.Helper()
	a, err := app.New(t.Context(), cfg, roles, newLogbook(t).logger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = a.Run(ctx)
	if ctx.Err() != nil {
		t.Errorf("it did not end by itself; then: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	return err
}

// A broker that refuses us for good ends a role that runs alone, with what to do. With a gateway in the process it does not:
// that goes on serving, see TestWrongCertificateOfBroker.
func TestBrokerRefusesRole(t *testing.T) {
	t.Parallel()
	login, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "right"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(login.Close)
	login.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) { // on its own it just hangs up
		login.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = 58 // SASL_AUTHENTICATION_FAILED
		return resp, nil, true
	})
	for _, c := range []struct {
		name   string
		broker string
		change func(*bus.Config)
		want   []string
	}{
		{"password", login.ListenAddrs()[0], func(k *bus.Config) {
			k.SASL = bus.SASL{Mechanism: bus.Plain, Username: "u", Password: config.NewSecret("not-it")}
		}, []string{"the login was refused", "sasl.password"}},
		{"certificate", untrusted(t), func(k *bus.Config) { k.TLS.Enabled = true }, []string{"certificate", "set tls.ca"}},
	} {
		for _, role := range []app.Role{app.RoleDetector, app.RoleEnforcer, app.RoleSinks, app.RoleStore} {
			t.Run(c.name+"/"+string(role), func(t *testing.T) {
				cfg := settings(t, "http://127.0.0.1:1", "http://127.0.0.1:1/hook")
				cfg.Kafka.Brokers = []string{c.broker}
				c.change(&cfg.Kafka.Config)
				err := runToEnd(t, cfg, []app.Role{role})
				if err == nil || !containsAll(err.Error(), append(c.want, c.broker)...) || strings.Contains(err.Error(), "not-it") {
					t.Errorf("got %v, want it to say %q", err, c.want)
				}
			})
		}
	}
}

// A schema that a newer program made is left alone: the store role ends and says what to do, and where there is a gateway it serves.
func TestNewerSchema(t *testing.T) {
	t.Parallel()
	newer := func(cfg store.Config) {
		storetest.OpenConfig(t, cfg)
		if err := storetest.Conn(t, cfg).Exec(t.Context(), "INSERT INTO schema_migrations (version, name) VALUES (999, 'from the future')"); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, func(c *app.Config) { newer(c.Store) })
	r.closes("203.0.113.1")
	r.log.says("level=ERROR", "clickhouse is not ready", r.cfg.Store.Database, "999", "run a newer Warder")
	r.notReady("clickhouse", "newer than this program")

	cfg := settings(t, "http://127.0.0.1:1", "http://127.0.0.1:1/hook")
	cfg.Kafka.Brokers = bustest.Broker(t, t.TempDir(), 0).Addrs()
	newer(cfg.Store)
	if err := runToEnd(t, cfg, []app.Role{app.RoleStore}); err == nil || !containsAll(err.Error(), cfg.Store.Database, "999", "run a newer Warder") {
		t.Errorf("got %v", err)
	}
}

// A stage that fails for good, here because a right is missing, does not take the gateway down, nor the other stages: /readyz
// and the log say what to do, and the process ends with the error.
func TestStageFails(t *testing.T) {
	t.Parallel()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	broker.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		if req.(*kmsg.JoinGroupRequest).Group != "warder.enforcer" {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.ErrorCode = 30 // GROUP_AUTHORIZATION_FAILED
		return resp, nil, true
	})
	r := newRig(t, func(c *app.Config) { c.Kafka.Brokers = broker.ListenAddrs() })
	r.notReady("enforcer", broker.ListenAddrs()[0], "check the cluster's ACLs")
	r.serves(3)
	r.attack("203.0.113.1")
	r.alerted("203.0.113.1")
	r.stored()
	r.once.Do(func() {
		r.client.CloseIdleConnections()
		r.cancel()
		if err := <-r.ended; err == nil || !containsAll(err.Error(), "enforcer", broker.ListenAddrs()[0], "check the cluster's ACLs") {
			t.Errorf("run: %v", err)
		}
		if err := r.app.Close(); err != nil {
			t.Error(err)
		}
	})
}

// An App that is stopped before anything could be reached ends at once and without an error.
func TestStopBeforeUp(t *testing.T) {
	t.Parallel()
	address, _ := closedport.Reserve(t)
	r := newRig(t, func(c *app.Config) { c.Kafka.Brokers, c.Store.Addrs = []string{address}, []string{address} })
	r.close()
	select {
	case <-r.app.Up():
		t.Error("it says that it was up")
	default:
	}
}
