package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/config"
)

// TestRulesReload: a changed rule file is in use without a restart; a bad one keeps the rules before and says where it is bad.
func TestRulesReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rule := filepath.Join(dir, "rule.yaml")
	put := func(text string) {
		t.Helper()
		tmp := rule + ".new"
		if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, rule); err != nil {
			t.Fatal(err)
		}
	}
	put(strings.ReplaceAll(attackRule, "/attack", "/first"))
	r := newRig(t, func(c *app.Config) {
		c.Rules = app.Rules{Paths: []string{dir}, Reload: config.Duration(10 * time.Millisecond)}
	})
	<-r.app.Up()
	put("id: attack\ntitle: broken\nfilter: request.pat == \"/\"\n")
	r.counts(1, "warder_rules_loads_total", `result="refused"`)
	r.log.says("changed rules are refused", "rule.yaml:3:9", "did you mean `request.path`?")
	put(attackRule)
	r.counts(1, "warder_rules_loads_total", `result="ok"`)
	r.closes("203.0.113.1")
	if n := r.metric("warder_rules"); n != 1 {
		t.Errorf("warder_rules is %v, want 1", n)
	}
}

// TestListReload: a list file that a rule file names is watched as well, also where only the rule file is configured.
func TestListReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := file(t, dir, "bad.txt", "/nothing\n")
	rule := file(t, dir, "rule.yaml", "kind: lists\nlists: {bad: {file: bad.txt}}\n---"+
		strings.Replace(attackRule, `request.path.startsWith("/attack")`, `inList(request.path, "bad")`, 1))
	r := newRig(t, func(c *app.Config) {
		c.Rules = app.Rules{Paths: []string{rule}, Reload: config.Duration(10 * time.Millisecond)}
	})
	<-r.app.Up()
	if err := os.WriteFile(list, []byte("/nothing\n/attack\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.counts(1, "warder_rules_loads_total", `result="ok"`)
	r.closes("203.0.113.1")
}
