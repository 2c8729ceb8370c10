package client_test

import (
	"context"
	"log/slog"
	"net/url"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/internal/apiclient"
	"github.com/warder/warder/internal/celsql"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/history/client"
	"github.com/warder/warder/internal/history/historytest"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
	"github.com/warder/warder/rules"
)

// past is a store's history as the API gets it.
type past struct {
	*store.Store
	*store.Searcher
}

func (past) Accessed(history.Access)                    {}
func (past) Note(context.Context, history.Access) error { return nil }
func (past) Erase(context.Context, history.EntityID, bool) (*history.Erasure, error) {
	return nil, nil // not part of the suite
}

// kim asks as the person whose token it has; there is no token of nobody, nor one of an endless name.
type kim struct{ *client.Client }

func (k kim) Triage(ctx context.Context, who, id string, t history.Triage) (*history.Alert, error) {
	if who != "person:kim" {
		return nil, history.ErrQuestion
	}
	return k.Client.Triage(ctx, who, id, t)
}

// The history is the same through the API and its client as from the store: one suite for both.
func TestHistoryThroughAPI(t *testing.T) {
	historytest.Run(t, func(t *testing.T) historytest.Rig {
		s := storetest.Open(t)
		compile := func(text string) (celsql.Filter, error) { return rules.CompileFilter(rules.Options{}, text) }
		cfg := api.DefaultConfig()
		cfg.Listen = "127.0.0.1:0"
		cfg.Tokens = []api.Token{{Name: "kim", Token: config.NewSecret("0123456789abcdef"), Role: api.Operate}}
		server, err := api.New(cfg, nil, nil, func() (api.History, error) { return past{s, store.NewSearcher(s, compile)}, nil },
			slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- server.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		c := client.New(apiclient.New(&url.URL{Scheme: "http", Host: server.Addr()}, "0123456789abcdef", "the test", nil))
		return historytest.Rig{Reader: c, Triager: kim{c}, Store: s}
	})
}
