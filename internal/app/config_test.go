package app_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "warder.yaml")
	if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func compare(t *testing.T, want, got app.Config) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.AllowUnexported(config.Secret{}), cmpopts.IgnoreUnexported()); diff != "" {
		t.Error(diff)
	}
}

// What `warder init` writes says the defaults, and its commented examples are valid.
func TestExample(t *testing.T) {
	got, err := app.Load(write(t, app.Example))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, app.DefaultConfig(), got)

	for _, env := range []string{"WARDER_KAFKA_PASSWORD", "WARDER_CLICKHOUSE_PASSWORD", "SOAR_URL", "SLACK_WEBHOOK_URL", "SMTP_PASSWORD", "KONG_TOKEN",
		"APISIX_KEY", "SCRUBBER_URL"} {
		t.Setenv(env, "https://example.com/secret-value")
	}
	key := regexp.MustCompile(`^(\s*)# ((?:  )*(?:- \{|[a-z_]+:).*)$`)
	var lines []string
	for _, line := range strings.Split(app.Example, "\n") {
		m := key.FindStringSubmatch(line)
		if m == nil {
			lines = append(lines, line)
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(m[2]), ":")
		for i := range lines { // the default that the example replaces
			if strings.HasPrefix(lines[i], m[1]+name+": []") {
				lines[i] = ""
			}
		}
		lines = append(lines, m[1]+m[2])
	}
	text := strings.Join(lines, "\n")
	for _, file := range []string{"/etc/warder/kafka-ca.pem", "/etc/warder/tls.pem", "/etc/warder/tls.key", "/run/secrets/soar", "/run/secrets/bouncer",
		"/run/secrets/alice", "/run/secrets/scrubber"} {
		local := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(local, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		text = strings.ReplaceAll(text, file, local)
	}
	got, err = app.Load(write(t, text))
	for _, line := range strings.Split(errText(err), "\n") {
		// The certificate files are only placeholders here; everything else must be right.
		if line != "" && !strings.Contains(line, "gateway.tls") && !strings.Contains(line, "kafka.tls") {
			t.Errorf("%s\nin\n%s", line, text)
		}
	}
	if len(got.Gateway.Routes) != 2 || len(got.Sinks.Email) != 1 || len(got.AccessLogs) != 1 || len(got.Kafka.Brokers) != 2 {
		t.Errorf("the examples were not all read: %+v", got)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestErrorsNameThePlace(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "enforcer:\n  enforcing: true\n", `warder.yaml:2: unknown field "enforcing"`},
		{"wrong type", "enforcer:\n  max_new_per_minute: many\n", "warder.yaml:2"},
		{"bad value", "log:\n  level: loud\n", "warder.yaml:2: log.level"},
		{"bad duration", "enforcer:\n  max_ttl: 5 minutes\n", "warder.yaml:2"},
		{"in a list", "enforcer:\n  never_block:\n    - 10.0.0.0/8\n    - nonsense\n", "warder.yaml:4: enforcer.never_block[1]"},
		{"sink", "sinks:\n  webhook:\n    - name: a\n      url: nonsense\n", "warder.yaml:4: sinks.webhook[0].url"},
		{"same name", "sinks:\n  webhook: [{name: a, url: 'http://x.example'}]\n  slack: [{name: a, webhook_url: 'https://x.example'}]\n", "sinks.slack[0].name"},
		{"missing secret", "sinks:\n  slack:\n    - name: a\n      webhook_url: {env: WARDER_TEST_NOT_SET}\n", "WARDER_TEST_NOT_SET"},
		{"not YAML", "log: [\n", "warder.yaml:"},
		{"no rules", "rules: {packs: false}\n", "rules"},
		{"rule path", "rules: {paths: [/nonexistent/rules]}\n", "rules.paths[0]"},
		{"broker", "kafka:\n  brokers: [nowhere]\n", "warder.yaml:2: kafka.brokers[0]"},
		{"route", "gateway:\n  routes:\n    - {name: a, upstream: 'ftp://x'}\n", "gateway.routes[0].upstream"},
		{"list", "collector:\n  enrich:\n    intel:\n      - {name: a b, file: x}\n", "warder.yaml:4: collector.enrich.intel[0].name"},
		{"firewall", "collector:\n  enrich:\n    waf: {paranoia: 5}\n", "warder.yaml:3: collector.enrich.waf.paranoia"},
		{"access log", "access_logs:\n  - {path: /var/log/x, format: morse}\n", "access_logs[0].format"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := app.Load(write(t, c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to contain %q", err, c.want)
			}
		})
	}
}

// `docker compose config` accepts the file, and Warder its configuration.
func TestCompose(t *testing.T) {
	o, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Services {
		if s.HealthCheck == nil {
			t.Errorf("service %s has no health check", s.Name)
		}
		if s.Build == nil && !regexp.MustCompile(`:v?\d`).MatchString(s.Image) {
			t.Errorf("service %s: image %s is not pinned", s.Name, s.Image)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("service %s publishes port %s on %q", s.Name, port.Published, port.HostIP)
			}
		}
	}
	for _, r := range app.Roles() {
		if _, ok := p.Services[string(r)]; !ok {
			t.Errorf("role %s is missing", r)
		}
	}
	t.Setenv("WARDER_CLICKHOUSE_PASSWORD", "warder")
	if _, err := app.Load(write(t, p.Configs["warder"].Content)); err != nil {
		t.Error(err)
	}
}
