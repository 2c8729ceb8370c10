package schema_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/warder/warder/rules"
	"github.com/warder/warder/rules/schema"
)

var update = flag.Bool("update", false, "write docs/rule.schema.json anew")

const committed = "../../docs/rule.schema.json"

func generated(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := schema.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCommitted(t *testing.T) {
	want := generated(t)
	if *update {
		if err := os.WriteFile(committed, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/rule.schema.json is not what `warder rules schema` prints; run the test with -update (-want +got):\n%s", diff)
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(generated(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("rule.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("rule.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// documents are those of a YAML file as JSON values.
func documents(t *testing.T, text []byte) []any {
	t.Helper()
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []any
	for _, d := range f.Docs {
		if d.Body == nil || d.Body.Type().String() == "Comment" {
			continue
		}
		var v any
		if err := yaml.NodeToValue(d.Body, &v); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, doc)
	}
	return out
}

func TestPacksAreValid(t *testing.T) {
	s := compiled(t)
	files, err := fs.Glob(rules.Packs(), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range files {
		text, err := fs.ReadFile(rules.Packs(), name)
		if err != nil {
			t.Fatal(err)
		}
		for i, doc := range documents(t, text) {
			n++
			if err := s.Validate(doc); err != nil {
				t.Errorf("%s, document %d: %v", name, i+1, err)
			}
		}
	}
	if n == 0 {
		t.Error("no document")
	}
}

func TestForms(t *testing.T) {
	s := compiled(t)
	const head = "id: a\ntitle: A\n"
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"smallest":        {head + "filter: 'true'", true},
		"boolean filter":  {head + "filter: true", true},
		"canary":          {head + "filter: true\nmode: canary 10%", true},
		"canary mapping":  {head + "filter: true\nmode: {canary: 10%}", true},
		"sequence":        {head + "sequence: {span: 10m, steps: [{name: a, filter: 'true', count: 2}, {name: b, filter: 'true', absent: true}]}", true},
		"nameless step":   {head + "sequence: {span: 10m, steps: [{name: a, filter: 'true'}, {filter: 'true'}]}", false},
		"one step":        {head + "sequence: {span: 10m, steps: [{name: a, filter: 'true'}]}", false},
		"absent count":    {head + "sequence: {span: 10m, steps: [{name: a, filter: 'true'}, {name: b, filter: 'true', absent: true, count: 2}]}", false},
		"two forms":       {head + "filter: true\nabsence: {span: 10m}\nfirst_seen: {value: source.country}", false},
		"absence":         {head + "filter: true\nabsence: {span: 10m, after: 3}", true},
		"after none":      {head + "filter: true\nabsence: {span: 10m, after: 0}", false},
		"first seen":      {head + "filter: true\nfirst_seen: {value: source.country, learn: 14d, forget: 90d}", true},
		"rare":            {head + "filter: true\ngroup_by: [principal.id]\nrare: {value: api.route, peers: [api.name], share: 0.05, least: 30, span: 24h}", true},
		"whole share":     {head + "filter: true\ngroup_by: [principal.id]\nrare: {value: api.route, share: 1}", false},
		"few peers":       {head + "filter: true\ngroup_by: [principal.id]\nrare: {value: api.route, least: 1}", false},
		"quantile":        {head + "filter: true\nwindow: {size: 1m}\naggregates: {q: {func: quantile, of: request.duration, q: 0.9}}\ncondition: q > 3.0", true},
		"which quantile":  {head + "filter: true\nwindow: {size: 1m}\naggregates: {q: {func: quantile, of: request.duration}}\ncondition: q > 3.0", false},
		"count of":        {head + "filter: true\nwindow: {size: 1m}\naggregates: {n: {func: count, of: request.size}}\ncondition: n > 3", false},
		"top":             {head + "filter: true\nwindow: {size: 1m}\naggregates: {t: top(request.path)}\ncondition: t.count > 3\ntests: [{name: x, events: [], expect: [{group: [], values: {t.value: /a, t.count: 4}}]}]", true},
		"except":          {head + "filter: true\nexcept: [{when: 'true', owner: me, until: 2027-01-31}]", true},
		"endless except":  {head + "filter: true\nexcept: [{when: 'true', owner: me}]", false},
		"heartbeat":       {head + "filter: true\nabsence: {span: 10m}\ntests: [{name: x, events: [{request.path: /a}, {kind: heartbeat, after: 11m}], expect: [{group: []}]}]", true},
		"loud heartbeat":  {head + "filter: true\nabsence: {span: 10m}\ntests: [{name: x, events: [{kind: heartbeat, request.path: /a}], expect: []}]", false},
		"keep parent":     {"id: b\nextend: request-limit\nkeep_parent: true\nowner: me\nauthor: A\nlicense: MIT\nreferences: [a]\nsource_id: x\nfalsepositives: [a]", true},
		"list of both":    {"kind: lists\nlists: {office: {values: [a], file: b.txt}}", false},
		"macro with":      {"kind: macros\nmacros: {'carries(t, re)': 't.matches(re)'}", true},
		"odd macro":       {"kind: macros\nmacros: {'Carries': 'true'}", false},
		"extend":          {"id: b\nextend: a\nfilter_and: request.path != \"/x\"", true},
		"session":         {head + "filter: true\nwindow: {type: session, gap: 5m, size: 2h}\naggregates: {n: count()}\ncondition: n > 3", true},
		"long aggregate":  {head + "filter: true\nwindow: {size: 1m}\naggregates: {n: {func: ratio, of: 'true', where: 'true'}}\ncondition: n > 0.5", true},
		"lists":           {"kind: lists\nlists: {office: {values: [192.0.2.0/24], type: network}}", true},
		"macros":          {"kind: macros\nmacros: {is_login: 'request.method == \"POST\"'}", true},
		"no id":           {"title: A\nfilter: true", false},
		"unknown key":     {head + "filter: true\ngroup: [source.address]", false},
		"unknown field":   {head + "filter: true\ngroup_by: [source.ip]", false},
		"wrong severity":  {head + "filter: true\nseverity: urgent", false},
		"wrong duration":  {head + "filter: true\nsuppress: 10", false},
		"no ttl":          {head + "filter: true\nrespond: [{block: {scope: source.address}}]", false},
		"both answers":    {head + "filter: true\nrespond: [{block: {scope: source.address, ttl: 1m}, limit: {scope: source.address, ttl: 1m, rate: 1/s}}]", false},
		"misspelt event":  {head + "filter: true\ntests: [{name: x, events: [{request.pth: /x}], expect: []}]", false},
		"nameless test":   {head + "filter: true\ntests: [{events: [], expect: []}]", false},
		"neither":         {"kind: lists\nmacros: {}", false},
		"aggregate":       {head + "filter: true\nwindow: {size: 1m}\naggregates: {n: median(x)}\ncondition: n > 3", false},
		"upper-case name": {head + "filter: true\nwindow: {size: 1m}\naggregates: {N: count()}\ncondition: N > 3", false},
	} {
		docs := documents(t, []byte(c.text))
		if err := s.Validate(docs[0]); (err == nil) != c.ok {
			t.Errorf("%s: valid %v, want %v: %v", name, err == nil, c.ok, err)
		}
		if name == "extend" { // a rule that is not there
			continue
		}
		if _, err := rules.Load(fstest.MapFS{"a.yaml": {Data: []byte(c.text)}}); (err == nil) != c.ok {
			t.Errorf("%s: loaded %v, want %v as the schema says: %v", name, err == nil, c.ok, err)
		}
	}
	if !strings.Contains(string(generated(t)), "draft-07") {
		t.Error("the schema does not name its draft")
	}
}
