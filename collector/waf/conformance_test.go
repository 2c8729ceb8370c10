package waf

import (
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	crstests "github.com/corazawaf/coraza-coreruleset/v4/tests"
	"github.com/goccy/go-yaml"

	"github.com/warder/warder/internal/event"
)

// regression is a file of the Core Rule Set's own tests, as far as we read it.
type regression struct {
	Rule  int `yaml:"rule_id"`
	Tests []struct {
		ID     int `yaml:"test_id"`
		Stages []struct {
			Input struct {
				Method  string            `yaml:"method"`
				URI     string            `yaml:"uri"`
				Version string            `yaml:"version"`
				Headers map[string]string `yaml:"headers"`
				Data    string            `yaml:"data"`
				Encoded string            `yaml:"encoded_request"`
			} `yaml:"input"`
			Output struct {
				Log struct {
					Expect   []int `yaml:"expect_ids"`
					NoExpect []int `yaml:"no_expect_ids"`
				} `yaml:"log"`
			} `yaml:"output"`
		} `yaml:"stages"`
	} `yaml:"tests"`
}

// TestCoreRuleSet runs those of the Core Rule Set's regression tests that show everything in the request line and the headers, at
// paranoia level 4: what an event can hold must be judged as its authors meant. A body, which no event has, cannot be.
func TestCoreRuleSet(t *testing.T) {
	w := mustNew(t, func(c *Config) { c.Paranoia, c.MaxSize = 4, 128<<10 })
	var fired, silent, right, quiet int
	missed := map[int]int{}
	for _, r := range regressions(t) {
		for _, test := range r.Tests {
			if len(test.Stages) != 1 {
				continue
			}
			in, out := test.Stages[0].Input, test.Stages[0].Output.Log
			if in.Data != "" || in.Encoded != "" || slices.Contains(blind(), r.Rule) {
				continue
			}
			found, err := w.judge(seen(in.Method, in.URI, in.Version, in.Headers))
			if err != nil {
				t.Fatalf("rule %d, test %d: %v", r.Rule, test.ID, err)
			}
			for _, id := range out.Expect {
				if fired++; slices.Contains(found.Rules, strconv.Itoa(id)) {
					right++
				} else {
					missed[id]++
				}
			}
			for _, id := range out.NoExpect {
				if silent++; !slices.Contains(found.Rules, strconv.Itoa(id)) {
					quiet++
				}
			}
		}
	}
	t.Logf("%d of %d rules that must fire did, %d of %d that must not did not", right, fired, quiet, silent)
	for _, id := range slices.Sorted(maps.Keys(missed)) {
		t.Logf("rule %d was missed %d times", id, missed[id])
	}
	if fired < 1000 || silent < 200 || right*100 < fired*99 || quiet*100 < silent*99 {
		t.Errorf("want at least 99 %% of 1000 and more, and 99 %% of 200 and more")
	}
}

// seen makes the event that a gateway would emit.
func seen(method, uri, version string, headers map[string]string) *event.Event {
	e := &event.Event{Request: event.RequestInfo{Method: method, Protocol: version, Headers: map[string]string{}}}
	e.Request.Path, e.Request.Query, _ = strings.Cut(uri, "?")
	for name, v := range headers {
		switch name = strings.ToLower(name); name {
		case "host":
			e.Request.Host = v
		case "user-agent":
			e.Request.UserAgent = v
		case "referer":
			e.Request.Referer = v
		default:
			e.Request.Headers[name] = v
		}
	}
	e.Bound()
	return e
}

func regressions(t testing.TB) (all []regression) {
	t.Helper()
	err := fs.WalkDir(crstests.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") || !strings.HasPrefix(path, "REQUEST-") {
			return err
		}
		text, err := fs.ReadFile(crstests.FS, path)
		if err != nil {
			return err
		}
		var r regression
		if err := yaml.Unmarshal(text, &r); err != nil {
			return err
		}
		all = append(all, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
