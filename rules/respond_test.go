package rules_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/rules"
)

const answering = "id: a\ntitle: A\nfilter: request.method == \"GET\"\ngroup_by: [source.address, principal.id, tls.fingerprint]\nrespond:\n  - "

func TestAnswers(t *testing.T) {
	for text, want := range map[string]alert.Response{
		"challenge: {scope: principal.id, ttl: 1m}":                      {Action: "challenge", Scope: "principal.id", Status: 401},
		"challenge: {scope: principal.key, ttl: 1m, status: 429}":        {Action: "challenge", Scope: "principal.key", Status: 429},
		"log: {scope: tls.fingerprint, ttl: 1m}":                         {Action: "log", Scope: "tls.fingerprint"},
		"block: {scope: [tls.fingerprint, source.address], ttl: 1m}":     {Action: "block", Scope: "source.address", And: []string{"tls.fingerprint"}},
		"limit: {scope: [source.address], ttl: 1m, rate: 5/s, burst: 9}": {Action: "limit", Scope: "source.address", Requests: 5, Per: time.Second, Burst: 9},
	} {
		want.TTL = time.Minute
		if diff := cmp.Diff([]alert.Response{want}, mustLoad(t, answering+text+"\n").Rules()[0].Respond); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestAnswersRefused(t *testing.T) {
	for text, want := range map[string]string{
		"block: {scope: source.cidr, ttl: 1m}":                      "unknown scope",
		"block: {scope: api.route, ttl: 1m}":                        "api.route is not in group_by",
		"block: {scope: [source.address, source.address], ttl: 1m}": "is there twice",
		"block: {scope: [], ttl: 1m}":                               "unknown scope",
		"challenge: {scope: source.address, ttl: 1m, status: 200}":  "want 401",
		"log: {scope: source.address}":                              "ttl is missing",
	} {
		_, err := rules.Load(fstest.MapFS{"r.yaml": {Data: []byte(answering + text + "\n")}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
