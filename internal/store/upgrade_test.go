package store_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// versionTwo makes a database as schema version 2 left it, with n events over three days.
func versionTwo(t *testing.T, cfg store.Config, n int) {
	t.Helper()
	admin := cfg
	admin.Database = ""
	must := func(c clickhouse.Conn, sql string) {
		t.Helper()
		if err := c.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	must(storetest.Conn(t, admin), "CREATE DATABASE `"+cfg.Database+"`")
	conn := storetest.Conn(t, cfg)
	must(conn, "CREATE TABLE schema_migrations (version UInt32, name String, applied DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = ReplacingMergeTree ORDER BY version")
	for i, file := range []string{"migrations/0001_tables.sql", "migrations/0002_ledger.sql"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range strings.Split(string(text), ";\n") {
			if strings.Contains(sql, "CREATE") {
				must(conn, sql)
			}
		}
		must(conn, fmt.Sprintf("INSERT INTO schema_migrations (version, name) VALUES (%d, 'x')", i+1))
	}
	must(conn, fmt.Sprintf("INSERT INTO events (id, time, tap, seq, request_id, method, path, code, source_address, principal_id, tenant, route, model, headers) "+
		"SELECT toFixedString(concat(reverse(reinterpretAsFixedString(xxHash64('a'))), reverse(reinterpretAsFixedString(number))), 16), "+
		"toDateTime64('%s', 9, 'UTC') - toIntervalHour(number %% 3 * 24) + toIntervalMillisecond(number), 'a', number, "+
		"if(number %% 2 = 0, '97582dae-63c5-49a9-8cf3-e0932b060725', 'r-1'), 'GET', '/', 200, toIPv6('203.0.113.9'), 'u', 'acme', '/', 'm', map('k', 'v') "+
		"FROM numbers(1, %d) SETTINGS max_partitions_per_insert_block = 0", noon().Format("2006-01-02 15:04:05"), n))
}

func TestTheVersionBeforeComesOverWithItsEvents(t *testing.T) {
	const n = 60_000
	cfg := storetest.Config(t)
	versionTwo(t, cfg, n)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			s, err := open(t, cfg)
			if errs[i] = err; err == nil {
				errs[i] = s.Close()
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	checkRollups(t, cfg, n)
	s := storetest.OpenConfig(t, cfg)
	got, err := s.EventsByID(t.Context(), []event.ID{event.NewID("a", 2), event.NewID("a", 3)})
	if err != nil || len(got) != 2 {
		t.Fatalf("%d events, %v", len(got), err)
	}
	for _, e := range got {
		want := "r-1"
		if e.Seq == 2 {
			want = "97582dae-63c5-49a9-8cf3-e0932b060725"
		}
		if e.Request.ID != want || e.ID != event.NewID("a", e.Seq) || e.Request.Headers["k"] != "v" {
			t.Errorf("came over as %+v", e)
		}
	}
	if err = s.InsertEvents(t.Context(), 0, everyRollup("b", 1, 100, noon())); err != nil {
		t.Fatal(err)
	}
	checkRollups(t, cfg, n+100)
	var left uint64
	sql := "SELECT count() FROM system.tables WHERE database = currentDatabase() AND (name LIKE '%staging%' OR name LIKE 'schema_lock%' OR name LIKE '%before%')"
	if err = storetest.Conn(t, cfg).QueryRow(t.Context(), sql).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d tables are left of the migration, %v", left, err)
	}
}

// An engine that is killed while the events come over goes on with the day at which it was.
func TestTheMigrationGoesOnAfterAKill(t *testing.T) {
	const n = 60_000
	e, cfg := ownEngine(t)
	versionTwo(t, cfg, n)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	kill := &killOnLog{text: "carried over", pid: e.PID}
	failures, err := persist(ctx, func() error {
		s, err := store.Open(ctx, cfg, slog.New(slog.NewTextHandler(kill, nil)), nil)
		if err == nil {
			err = s.Close()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if failures == 0 {
		t.Error("the migration did not fail: the engine was not killed in its middle")
	}
	checkRollups(t, cfg, n)
}

// killOnLog kills a process when a line with the text is logged for the first time.
type killOnLog struct {
	text string
	pid  func() int
	done bool
}

func (k *killOnLog) Write(b []byte) (int, error) {
	if !k.done && bytes.Contains(b, []byte(k.text)) {
		k.done = true
		_ = syscall.Kill(k.pid(), syscall.SIGKILL)
	}
	return len(b), nil
}
