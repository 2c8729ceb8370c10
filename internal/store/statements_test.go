package store

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/history"
)

var update = flag.Bool("update", false, "rewrite golden files")

// recorder is a connection to a server that has nothing yet; it keeps the statements that make or change something.
type recorder struct {
	driver.Conn
	mu         sync.Mutex
	statements []string
}

func (r *recorder) Exec(_ context.Context, sql string, _ ...any) error {
	if strings.HasPrefix(sql, "INSERT INTO schema_lock_") { // signs of life come when they come
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statements = append(r.statements, sql)
	return nil
}

func (r *recorder) Query(context.Context, string, ...any) (driver.Rows, error) { return noRows{}, nil }

func (r *recorder) QueryRow(context.Context, string, ...any) driver.Row { return nothing{} }

// noRows is an empty answer.
type noRows struct{ driver.Rows }

func (noRows) Next() bool   { return false }
func (noRows) Close() error { return nil }
func (noRows) Err() error   { return nil }

// nothing is an answer of zeroes; a list has one name.
type nothing struct{ driver.Row }

func (nothing) Scan(dest ...any) error {
	if list, ok := dest[0].(*[]string); ok {
		*list = []string{"a1"}
	}
	return nil
}

// record returns what a store says to make its tables, and to erase a person.
func record(t *testing.T, cfg Config) []string {
	t.Helper()
	r := &recorder{}
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{cfg: cfg, conn: r, log: slog.New(slog.DiscardHandler), cluster: newCluster(cfg), metrics: m}
	if err = s.checkPlace(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err = s.migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err = s.applyRetention(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, table := range subjectTables(history.Principal) {
		mutate := s.mutate
		if table.table == "triage" && s.cluster.on() {
			mutate = s.eraseTriage
		}
		if err = mutate(t.Context(), table, nil); err != nil {
			t.Fatal(err)
		}
	}
	return r.statements
}

// beside returns the statements but those of the migrations, which must be there as they are written, in their order.
func beside(t *testing.T, statements []string) []string {
	t.Helper()
	steps, err := migrations(migrationFiles)
	if err != nil {
		t.Fatal(err)
	}
	var written, others []string
	for _, m := range steps {
		written = append(written, m.statements...)
	}
	for _, sql := range statements {
		if len(written) > 0 && sql == written[0] {
			written = written[1:]
			continue
		}
		others = append(others, sql)
	}
	for _, sql := range written {
		t.Errorf("not said as it is written: %s", sql)
	}
	return others
}

// What a store says of its tables to one server is what the migrations say, and what it says besides and to a cluster is as in the files.
func TestStatements(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file    string
		cluster Cluster
	}{{"single.sql", Cluster{}}, {"cluster.sql", Cluster{Name: "main-1"}}} {
		cfg := DefaultConfig()
		cfg.Addrs, cfg.Cluster = []string{"clickhouse-1.internal:9000"}, c.cluster
		statements := record(t, cfg)
		if c.cluster.Name == "" {
			statements = beside(t, statements)
		}
		got := strings.Join(statements, ";\n\n") + ";\n"
		file := filepath.Join("testdata", c.file)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s, written anew with -update: -want +got:\n%s", c.file, diff)
		}
	}
}

// A statement of a later step that the cluster does not know must not go by in silence.
func TestUnknownStatementsAreNotSpread(t *testing.T) {
	t.Parallel()
	c := cluster{name: "c", database: "d"}
	for _, sql := range []string{
		"ALTER TABLE events ADD COLUMN x String",
		"CREATE TABLE IF NOT EXISTS unknown (\n    x String\n) ENGINE = MergeTree",
		"CREATE TABLE IF NOT EXISTS events (x String) ENGINE = MergeTree",
		"CREATE MATERIALIZED VIEW IF NOT EXISTS v TO events AS\nSELECT 1\nFROM unknown AS e",
		"CREATE MATERIALIZED VIEW IF NOT EXISTS v AS\nSELECT 1\nFROM events AS e",
	} {
		if _, err := c.steps([]migration{{version: 4, statements: []string{sql}}}); err == nil || !strings.Contains(err.Error(), "version 4") {
			t.Errorf("%s: %v, want an error that names the version", sql, err)
		}
	}
}

func TestClusterIsValidated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cluster Cluster
		addrs   []string
		want    string
	}{
		{Cluster{}, nil, ""},
		{Cluster{Name: "main-1", Quorum: 2}, []string{"a:9000"}, ""},
		{Cluster{Name: "main"}, nil, "cluster.name: needs servers of your own"},
		{Cluster{Name: "x'"}, []string{"a:9000"}, "cluster.name: \"x'\""},
		{Cluster{Name: strings.Repeat("x", 64)}, []string{"a:9000"}, "cluster.name"},
		{Cluster{Name: "x", Quorum: 101}, []string{"a:9000"}, "cluster.quorum: is 101"},
		{Cluster{Quorum: 2}, nil, "cluster.quorum: is for a cluster"},
	} {
		cfg := DefaultConfig()
		cfg.Cluster, cfg.Addrs = c.cluster, c.addrs
		err := cfg.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.cluster, err, c.want)
		}
	}
}
