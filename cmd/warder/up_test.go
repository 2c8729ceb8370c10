package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/internal/app"
)

// loadUp is the configuration that `warder up` makes of its arguments.
func loadUp(t *testing.T, args ...string) (app.Config, error) {
	t.Helper()
	var f upFlags
	fs := pflag.NewFlagSet("up", pflag.ContinueOnError)
	f.register(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f.load(fs)
}

func TestUpFlags(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "warder.yaml")
	writeFile(t, file, "log: {level: debug}\ngateway: {listen: '127.0.0.1:7000', routes: [{name: a, upstream: 'http://127.0.0.1:7001'}]}\nenforcer: {enforce: true}\nrules: {paths: ["+file+"]}\n")
	own := filepath.Join(dir, "rules")
	writeFile(t, own, "")

	cfg, err := loadUp(t, "--upstream", "127.0.0.1:3000", "--data-dir", dir, "--rules", own, "-r", file)
	if err != nil {
		t.Fatal(err)
	}
	type seen struct {
		Listen, Admin, Dir, Level string
		Routes                    []gateway.Route
		Rules                     []string
		Enforce                   bool
	}
	see := func(c app.Config) seen {
		return seen{c.Gateway.Listen, c.Admin.Listen, c.DataDir, c.Log.Level, c.Gateway.Routes, c.Rules.Paths, c.Enforcer.Enforce}
	}
	want := seen{"127.0.0.1:8080", "127.0.0.1:9600", dir, "warn", []gateway.Route{{Name: "upstream", Upstream: gateway.Upstreams{"http://127.0.0.1:3000"}}},
		[]string{own, file}, false}
	if diff := cmp.Diff(want, see(cfg)); diff != "" {
		t.Errorf("without a file: %s", diff)
	}

	cfg, err = loadUp(t, "--config", file, "--data-dir", dir, "--rules", own, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--enforce=false")
	if err != nil {
		t.Fatal(err)
	}
	want = seen{"127.0.0.1:0", "127.0.0.1:0", dir, "debug", []gateway.Route{{Name: "a", Upstream: gateway.Upstreams{"http://127.0.0.1:7001"}}},
		[]string{file, own}, false}
	if diff := cmp.Diff(want, see(cfg)); diff != "" {
		t.Errorf("flags over a file: %s", diff)
	}

	if cfg, err = loadUp(t, "--config", file, "--data-dir", dir); err != nil || !cfg.Enforcer.Enforce {
		t.Errorf("the file turns blocking on, and no flag turns it off: %v, %v", cfg.Enforcer.Enforce, err)
	}
}

func TestUpFlagErrors(t *testing.T) {
	for args, want := range map[string]string{
		"": "nothing to protect: give --upstream URL or --config FILE",
		"--upstream=http://127.0.0.1:3000 --listen=x":   `--listen: "x" is not host:port`,
		"--upstream=http://127.0.0.1:3000 --admin=x":    `--admin: "x" is not host:port`,
		"--upstream=http://127.0.0.1:3000 --rules=none": "--rules: ",
		"--upstream=":                                    "--upstream: is empty; write for example http://127.0.0.1:3000",
		"--upstream=:3000":                               "--upstream: is not a URL with a host",
		"--upstream=http://[::1":                         "--upstream: is not a URL with a host",
		"--upstream=ftp://127.0.0.1":                     `--upstream: "ftp" is not a scheme that the gateway speaks`,
		"--upstream=http://127.0.0.1/?a=b":               "--upstream: must not hold a query",
		"--upstream=http://127.0.0.1:8080":               "--upstream: 127.0.0.1:8080 is where the gateway itself listens",
		"--upstream=localhost:7000 --listen=:7000":       "--upstream: localhost:7000 is where the gateway itself listens",
		"--upstream=https://[::1]:7 --listen=0.0.0.0:7":  "--upstream: [::1]:7 is where the gateway itself listens",
		"--config=none.yaml":                             "there is no configuration file none.yaml",
		"--upstream=http://user:secret@127.0.0.1:3000/":  "--upstream: must not hold a user and password",
		"--upstream=http://203.0.113.5:8080 --listen=80": `--listen: "80" is not host:port`,
	} {
		_, err := loadUp(t, strings.Fields(args)...)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v\nwant %s", args, err, want)
		}
	}
	if _, err := loadUp(t, "--upstream", "http://203.0.113.5:8080"); err != nil {
		t.Errorf("another machine may use the gateway's port: %v", err)
	}
}

// A message of the operating system comes with what to do about it.
func TestReport(t *testing.T) {
	var b strings.Builder
	code := report(&b, usageError{errors.Join(errors.New("one"), errors.New("two\n  more"))})
	if want := "warder: one\nwarder: two\n  more\n"; code != exitUsage || b.String() != want {
		t.Errorf("exit code %d, printed %q", code, b.String())
	}
	b.Reset()
	if code := report(&b, errors.Join(errSilent, nil)); code != exitFailed || b.Len() > 0 {
		t.Errorf("exit code %d, printed %q", code, b.String())
	}
	if code := report(&b, nil); code != exitOK || b.Len() > 0 {
		t.Errorf("exit code %d, printed %q", code, b.String())
	}
}
