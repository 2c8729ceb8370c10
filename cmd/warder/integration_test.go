//go:build integration

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/demo"
	"github.com/warder/warder/internal/engine"
	"github.com/warder/warder/internal/receivers"
	"github.com/warder/warder/internal/store"
)

// env returns a variable that names a neighbour.
func env(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set; run `make integration`", name)
	}
	return v
}

// startRole runs one role as a process of its own until the test ends.
func startRole(t *testing.T, role, config string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	cmd := exec.Command(exe, role, "--config", config)
	cmd.Env = append(os.Environ(), runAsWarder+"=1")
	cmd.Stdout, cmd.Stderr = &logs, &logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("warder %s ended with %v", role, err)
		}
		if t.Failed() {
			t.Logf("warder %s said:\n%s", role, logs.Bytes())
		}
	})
}

// Every role as a process of its own, on a real Kafka, a real mail server and a real syslog server: an attack at the gateway is
// refused, told of and stored, and so is one that stands in an access log.
func TestIntegrationRolesAlone(t *testing.T) {
	kafka := env(t, "WARDER_KAFKA")
	shopListener := listen(t)
	shop := http.Server{Handler: demo.Shop()}
	go func() { _ = shop.Serve(shopListener) }()
	defer shop.Close()
	hook, err := receivers.NewWebhook("")
	if err != nil {
		t.Fatal(err)
	}
	defer hook.Close()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	eng, err := engine.Start(ctx, engine.Config{Dir: filepath.Join(dir, "engine"), Memory: 1 << 30, Concurrent: 8}, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	t.Setenv("WARDER_TEST_STORE_PASSWORD", eng.Password().Reveal())

	port := listen(t)
	gateway := port.Addr().String()
	port.Close()
	accessLog := filepath.Join(dir, "access.log")
	writeFile(t, accessLog, "")
	run := rand.Text()[:8]
	smtp := env(t, "WARDER_SMTP")
	conf := func(role string) string {
		file := filepath.Join(dir, role+".yaml")
		writeFile(t, file, fmt.Sprintf(`
data_dir: %s
log: {level: warn}
admin: {listen: ""}
api: {listen: ""}
kafka: {brokers: [%q]}
store: {addrs: [%q], protocol: %s, username: %s, password: {env: WARDER_TEST_STORE_PASSWORD}, database: it_%s}
gateway: {listen: %q, trusted_proxies: [127.0.0.0/8], routes: [{upstream: "http://%s"}]}
access_logs: [{path: %s, format: combined}]
collector: {name: %s-%s}
enforcer: {enforce: true, max_new_per_minute: 10000, max_share: 1, approval: {share: 1}} # attackers are most of this traffic
sinks:
  webhook: [{name: hook-%s, url: %q, max_age: 1m}]
  email: [{name: mail-%s, smarthost: "localhost:%s", from: warder@example.com, to: [soc@example.com], username: warder, password: secret, max_age: 1m, tls: {ca_file: %s}}]
  syslog: [{name: siem-%s, address: %q, transport: tcp, format: ocsf, events: true, max_age: 1m}]
`, filepath.Join(dir, role), kafka, eng.Addr(), eng.Protocol(), eng.User(), strings.ToLower(run), gateway, shopListener.Addr(), accessLog,
			role, strings.ToLower(run), strings.ToLower(run), hook.URL(), strings.ToLower(run), smtp[strings.LastIndex(smtp, ":")+1:], env(t, "WARDER_TEST_CA"),
			strings.ToLower(run), env(t, "WARDER_SYSLOG_TCP")))
		return file
	}
	for _, r := range app.Roles() {
		startRole(t, string(r), conf(string(r)))
	}

	got := &answers{ids: map[string]int{}, refused: map[string]bool{}}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	prefix := fmt.Sprintf("2001:db8:%x:%x:", time.Now().Unix()>>16&0xffff, time.Now().Unix()&0xffff)
	url := "http://" + gateway
	waitUntil(t, time.Minute, "the gateway", func() bool {
		_, err := got.get(client, url+"/", prefix+":1", "first")
		return err == nil
	})
	refusedOne := func(address string) bool {
		code, err := got.get(client, url+attackPath, address, rand.Text())
		return err == nil && code == http.StatusForbidden
	}
	waitUntil(t, time.Minute, "the first refusal", func() bool { return refusedOne(prefix + ":2") })

	f, err := os.OpenFile(accessLog, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, "%s:3 - - [%s] \"GET %s HTTP/1.1\" 200 12 \"-\" \"Mozilla/5.0\"\n", prefix, time.Now().Format("02/Jan/2006:15:04:05 -0700"), attackPath)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, time.Minute, "a refusal at the gateway of who attacked in the log", func() bool {
		code, err := got.get(client, url+"/", prefix+":3", rand.Text())
		return err == nil && code == http.StatusForbidden
	})

	var ms []float64
	for n := range 100 {
		address := fmt.Sprintf("%s:1:%x", prefix, n)
		start := time.Now()
		waitUntilFast(t, func() bool { return refusedOne(address) })
		ms = append(ms, float64(time.Since(start).Microseconds())/1000)
	}
	slices.Sort(ms)
	t.Logf("from the request that tripped a rule to the first refusal on real Kafka, 100 offenders: median %.1f ms, 99th percentile %.1f ms", ms[50], ms[98])

	waitUntil(t, time.Minute, "every alert at the webhook", func() bool { return hook.Count() >= 102 })
	waitUntil(t, time.Minute, "the mail", func() bool { return mentions(t, env(t, "WARDER_SMTP_MAILDIR"), prefix+":2") })
	waitUntil(t, time.Minute, "alert and events at the syslog server", func() bool {
		b, err := os.ReadFile(env(t, "WARDER_SYSLOG_FILE"))
		return err == nil && bytes.Contains(b, []byte(`"class_uid":2004`)) && bytes.Count(b, []byte(prefix+":2")) >= 3
	})
	cfg := app.Embedded(store.DefaultConfig(), eng)
	cfg.Database = "it_" + strings.ToLower(run)
	waitUntil(t, time.Minute, "every answered request in the store, once", func() bool {
		stored := requestIDs(t, ctx, cfg)
		for id := range got.ids {
			if stored[id] != 1 {
				return false
			}
		}
		return true
	})
}

// waitUntilFast polls every half millisecond, for what is measured.
func waitUntilFast(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("an offender was not refused within 30 s")
		case <-tick.C:
		}
	}
}

// mentions tells whether a file below dir has the text.
func mentions(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // mail moves while it is looked at
		}
		b, err := os.ReadFile(path)
		found = found || err == nil && bytes.Contains(b, []byte(text))
		return nil
	})
	return err == nil && found
}
