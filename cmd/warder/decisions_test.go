package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/enforcer/api/apitest"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
)

// dutyToken is the token of a server that "api ROLE" starts.
const dutyToken = "duty-0123456789abcdef"

// serveAPI is the script command "api [ROLE [tls]]": it runs the enforcer's API with some decisions in it until the script ends. With a
// role it has one token, of that role, in WARDER_API_TOKEN; without one its own in the data folder. With tls it has a certificate, in ca.pem.
func serveAPI(ts *testscript.TestScript, _ bool, args []string) {
	cfg := api.DefaultConfig()
	cfg.Listen, cfg.DataDir = "127.0.0.1:0", filepath.Join(ts.MkAbs("data"), "warder")
	ts.Setenv("XDG_DATA_HOME", ts.MkAbs("data"))
	ts.Setenv("WARDER_API_TOKEN", "")
	if len(args) > 0 {
		cfg.Tokens = []api.Token{{Name: "duty", Token: config.NewSecret(dutyToken), Role: api.Role(args[0])}}
		ts.Setenv("WARDER_API_TOKEN", dutyToken)
	}
	scheme := "http://"
	if len(args) > 1 {
		scheme = "https://"
		cfg.TLS = certificate(ts)
	}
	s, err := api.New(cfg, someDecisions(), nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
	ts.Check(err)
	ts.Setenv("WARDER_API", scheme+s.Addr())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ts.Defer(func() {
		cancel()
		ts.Check(<-done)
	})
	// A file with a token, for --token-file.
	ts.Check(os.WriteFile(ts.MkAbs("other.token"), []byte(strings.Repeat("x", 20)+"\n"), 0o600))
}

// certificate writes one for 127.0.0.1, and its key.
func certificate(ts *testscript.TestScript) api.TLS {
	lender := httptest.NewTLSServer(nil)
	defer lender.Close()
	pair := lender.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	ts.Check(err)
	out := api.TLS{CertFile: ts.MkAbs("ca.pem"), KeyFile: ts.MkAbs("key.pem")}
	ts.Check(os.WriteFile(out.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600))
	ts.Check(os.WriteFile(out.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	return out
}

func someDecisions() *apitest.Decisions {
	now := time.Now()
	d := &apitest.Decisions{Now: time.Now,
		Status: []enforcer.GatewayStatus{
			{Gateway: "edge-1", Kind: "inline", Seen: now, Held: 3, State: "in line"},
			{Gateway: "edge-2", Kind: "haproxy", Seen: now, Behind: 7, Repaired: 1, State: "behind", Error: "connection\x1b[2J refused"}},
		Story: enforcer.Explanation{Effective: "Requests of 203.0.113.9 are answered 403.",
			Guardrails: []enforcer.Finding{{Guardrail: "never_block", Says: "is not on the list"}, {Guardrail: "max_share", Held: true, Says: "touches 4 % of good traffic"}},
			Gateways: []enforcer.Acknowledgement{{Gateway: "edge-1", Kind: "inline", Acked: true, At: now},
				{Gateway: "edge-2", Kind: "haproxy", Error: "connection refused"}},
			Refusals: 12, FirstRefusal: now}}
	put := func(id string, state decision.State, mode decision.Mode, terms ...decision.Term) *decision.Decision {
		x := &decision.Decision{Version: decision.Version, ID: id, Action: decision.Block, Scope: terms[0].Scope, Value: terms[0].Value, And: terms[1:],
			Mode: mode, State: state, Creator: "rule:login-stuffing", Created: now, Expires: now.Add(90*time.Minute + 30*time.Second),
			Reason: decision.Reason{Alert: "a1", Rule: "login-stuffing", RuleVersion: "v1", Title: "Credential stuffing", Event: "e1", EventTime: now}}
		d.Put(x)
		return x
	}
	x := put("aaaa0000000000000000000000000001", decision.Proposed, decision.Enforce, decision.Term{Scope: decision.CIDR, Value: "198.51.100.0/24"})
	x.Guardrail, x.Note, x.Share = "max_share", "held back: touches too much", 0.04
	x = put("aaaa0000000000000000000000000002", decision.Active, decision.Enforce, decision.Term{Scope: decision.Address, Value: "203.0.113.9"})
	x.Offence = 2
	x = put("bbbb0000000000000000000000000003", decision.Active, decision.Observe,
		decision.Term{Scope: decision.Address, Value: "203.0.113.7"}, decision.Term{Scope: decision.Route, Value: "/login\u202e"})
	x.Wanted = decision.Enforce
	put("cccc0000000000000000000000000004", decision.Expired, decision.Enforce, decision.Term{Scope: decision.Principal, Value: "alice"})
	return d
}
