package rules_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// payloadRules are the rules whose own tests hold every attack of testdata/attacks.txt, so that `warder rules test` and `warder rules
// mutate` see them, too.
func payloadRules() []string {
	return strings.Fields("code-injection command-injection cross-site-scripting header-injection jndi-lookup ldap-injection metadata-address " +
		"nosql-injection path-traversal sql-functions sql-injection")
}

// TestPayloadFixtures checks that the fixtures agree with testdata/attacks.txt; -update writes them anew. Each attack comes from an
// address of its own, because a rule is silent for an address that it has alerted on.
func TestPayloadFixtures(t *testing.T) {
	set := packs(t)
	for _, id := range payloadRules() {
		want, n := payloadFixture(t, set, id)
		name := filepath.Join("packs", "fixtures", "payloads-"+id+".jsonl")
		if *update {
			if err := os.WriteFile(name, want, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from testdata/attacks.txt: run the test with -update, and expect %d alerts in the rule", name, n)
		}
		r := set.Rule(id)
		if !slices.ContainsFunc(r.Tests, func(x rules.Test) bool {
			return x.File == "fixtures/payloads-"+id+".jsonl" && len(x.Expect) == n
		}) {
			t.Errorf("rule %s has no test that expects %d alerts of %s", id, n, name)
		}
	}
}

func payloadFixture(t *testing.T, set *rules.Set, id string) ([]byte, int) {
	var b bytes.Buffer
	b.WriteString("# written by TestPayloadFixtures from testdata/attacks.txt\n")
	n := 0
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, a := range attacks(t) {
		if !slices.Contains(a.rules, id) {
			continue
		}
		for _, e := range append(a.events()[:1], elsewhere(set, id, a)...) {
			n++
			line := map[string]any{"source.address": fmt.Sprintf("2001:db8::%d", n), "request.method": "GET", "request.path": e.Request.Path,
				"response.code": 200, "request.useragent": e.Request.UserAgent}
			if e.Request.Query != "" {
				line["request.query"] = e.Request.Query
			}
			if e.Request.Referer != "" {
				line["request.referer"] = e.Request.Referer
			}
			if len(e.Request.Headers) > 0 {
				line["request.headers"] = e.Request.Headers
			}
			if err := enc.Encode(line); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.Bytes(), n
}

// elsewhere puts the attack on a value into one other place where the rule looks, in turn: the path, the referer, the user agent, a
// header.
func elsewhere(set *rules.Set, id string, a attack) []*event.Event {
	if a.place != "value" {
		return nil
	}
	for i := range 4 {
		e := a.events()[0]
		e.Request.Query = ""
		payload := url.PathEscape(a.payload)
		switch (a.line + i) % 4 {
		case 0:
			e.Request.Path = "/item/" + payload
		case 1:
			e.Request.Referer = "https://www.example.com/?q=" + payload
		case 2:
			e.Request.UserAgent = a.payload
		case 3:
			e.Request.Headers = map[string]string{"x-filter": a.payload}
		}
		if slices.ContainsFunc(set.Match(e, nil), func(m rules.Match) bool { return m.Rule.ID == id }) {
			return []*event.Event{e}
		}
	}
	return nil
}
