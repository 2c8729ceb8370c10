package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/console"
)

// banner says where things are.
type banner struct {
	w io.Writer
	p console.Palette
}

func (b banner) row(name, format string, args ...any) {
	fmt.Fprintf(b.w, "  %s %s\n", b.p.Dim(fmt.Sprintf("%-10s", name)), fmt.Sprintf(format, args...))
}

func (b banner) write(a *app.App, cfg app.Config, file string) {
	fmt.Fprintln(b.w, b.p.Bold("warder is up"))
	if gw := a.Gateway(); gw != nil {
		scheme := "http"
		if cfg.Gateway.TLS.CertFile != "" {
			scheme = "https"
		}
		b.row("gateway", "%s", b.p.Cyan(fmt.Sprintf("%s://%s", scheme, gw.Addr())))
		for _, r := range cfg.Gateway.Routes {
			b.row("", "%s → %s", orAll(r.Host+r.PathPrefix), strings.Join(r.Upstream, ", "))
		}
	}
	for _, l := range cfg.AccessLogs {
		b.row("log", "%s", l.Path)
	}
	if admin := a.Admin(); admin != "" {
		b.row("admin", "http://%s with /metrics, /healthz, /readyz", admin)
	}
	if addr := a.API(); addr != "" {
		b.row("decisions", "warder decisions%s", apiFlagsFor(addr, cfg))
	}
	b.row("rules", "%s", describeRules(cfg.Rules))
	b.row("tells", "%s", describeSinks(cfg.Sinks))
	b.row("data", "%s%s", cfg.DataDir, b.p.Dim(keeps(cfg)))
	if cfg.Enforcer.Enforce {
		b.row("blocking", "%s", b.p.Red("on"))
	} else {
		b.row("blocking", "off: says what it would do; --enforce or enforcer.enforce: true turns it on")
	}
	if file != "" {
		b.row("configured", "by %s", file)
	} else {
		b.row("configured", "by flags; for more: warder init warder.yaml, then warder up --config warder.yaml")
	}
	fmt.Fprintln(b.w)
}

// apiFlagsFor is what `warder decisions` needs to reach the API, nothing when the defaults lead there.
func apiFlagsFor(addr string, cfg app.Config) string {
	var flags string
	switch {
	case cfg.API.TLS.CertFile != "":
		flags += " --api https://" + addr
	case addr != api.DefaultConfig().Listen:
		flags += " --api http://" + addr
	}
	if len(cfg.API.Tokens) == 0 && cfg.DataDir != app.DefaultConfig().DataDir {
		flags += " --token-file " + filepath.Join(cfg.DataDir, api.TokenFile)
	}
	return flags
}

func orAll(s string) string {
	if s == "" {
		return "everything"
	}
	return s
}

func describeRules(cfg app.Rules) string {
	var parts []string
	if cfg.Packs {
		parts = append(parts, "the shipped packs")
	}
	return strings.Join(append(parts, cfg.Paths...), ", ")
}

func describeSinks(cfg app.Sinks) string {
	var parts []string
	add := func(kind string, n int) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s (%d)", kind, n))
		}
	}
	add("email", len(cfg.Email))
	add("Slack", len(cfg.Slack))
	add("webhook", len(cfg.Webhook))
	add("syslog", len(cfg.Syslog))
	if len(parts) == 0 {
		return "nobody but this terminal; sinks in a configuration file tell people"
	}
	return strings.Join(parts, ", ")
}

// embedded names the servers that start with Warder.
func embedded(cfg app.Config) string {
	var parts []string
	if cfg.Kafka.IsEmbedded() {
		parts = append(parts, "the embedded broker")
	}
	if len(cfg.Store.Addrs) == 0 {
		parts = append(parts, "the embedded ClickHouse engine")
	}
	return strings.Join(parts, " and ")
}

func keeps(cfg app.Config) string {
	if what := embedded(cfg); what != "" {
		return ", with " + what
	}
	return ""
}

// tryTime bounds how long a start looks for the upstreams.
const tryTime = time.Second

// tryUpstreams says which upstreams do not answer yet: mostly a service that was forgotten, or a wrong port.
func tryUpstreams(ctx context.Context, cfg app.Config, tl *console.Timeline) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	for _, r := range cfg.Gateway.Routes {
		for _, text := range r.Upstream {
			u, err := url.Parse(text)
			if err != nil {
				continue // the gateway has accepted it
			}
			if err := dial(ctx, u); err != nil && ctx.Err() == nil {
				tl.Note("%s does not answer: %v; until it does, clients get 502", u.Redacted(), err)
			}
		}
	}
}

func dial(ctx context.Context, u *url.URL) error {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
	}
	if port == "" {
		port = "80"
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		var sys *os.SyscallError
		if errors.As(err, &sys) {
			return sys.Err
		}
		return err
	}
	return conn.Close()
}
