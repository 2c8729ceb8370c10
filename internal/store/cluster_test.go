package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/engine"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/history/historytest"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/store/storetest"
)

// Every statement that goes to a cluster is one that ClickHouse can read.
func TestClusterStatementsCanBeRead(t *testing.T) {
	cfg := storetest.Config(t)
	cfg.Database = "default"
	conn := storetest.Conn(t, cfg)
	text, err := os.ReadFile(filepath.Join("testdata", "cluster.sql"))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for sql := range strings.SplitSeq(strings.TrimSuffix(string(text), ";\n"), ";\n") {
		var line string
		some := []string{"some"}
		if err := conn.QueryRow(t.Context(), "EXPLAIN AST "+strings.TrimSpace(sql), clickhouse.Named("version", 1), clickhouse.Named("name", "x"),
			clickhouse.Named("kind", "principal"), clickhouse.Named("values", some), clickhouse.Named("alerts", some)).Scan(&line); err != nil || line == "" {
			t.Errorf("%s: %q, %v", sql, line, err)
		}
		read++
	}
	if read < 50 {
		t.Errorf("%d statements, want all", read)
	}
}

// clusterName is the cluster of one server that clustered defines.
const clusterName = "main-1"

// otherCluster is a further cluster of the same server.
const otherCluster = "other"

// clusterOf is a cluster of two shards, which both are the engine itself. Each has half of the rows: see halves.
const clusterOf = `<clickhouse>
    <include_from>%[2]s</include_from>
    <remote_servers><%[1]s><shard>
        <internal_replication>true</internal_replication>
        <replica><host>127.0.0.1</host><port incl="tcp_port"/></replica>
    </shard><shard>
        <internal_replication>true</internal_replication>
        <replica><host>127.0.0.1</host><port incl="tcp_port"/></replica>
    </shard></%[1]s></remote_servers>
</clickhouse>
`

// clusterUser lets the user of the embedded engine do what it otherwise may not, as to use a cluster. What one shard's filter left out must not be
// remembered of the table for the other.
const clusterUser = `<clickhouse><profiles><default><use_query_condition_cache>0</use_query_condition_cache></default></profiles><users><default>
    <grants replace="replace"><query>GRANT ALL ON *.* WITH GRANT OPTION</query></grants>
    <databases>%s</databases>
</default></users></clickhouse>
`

// halves are filters by which a shard shows those rows of a table that were sent to it, and none of the other's: the two have one table between them.
// Of a rollup, which has no sharding key, they show an hour or a day each; whoever does not ask through a cluster sees all.
func halves(databases []string) string {
	var b strings.Builder
	for _, database := range databases {
		fmt.Fprintf(&b, "<%s>", database)
		for table, key := range store.ShardingKeys() {
			switch {
			case table == "endpoints":
				key = "toUInt32(day)"
			case key == "":
				key = "toHour(time)"
			}
			fmt.Fprintf(&b, "<%[1]s_local><filter>shardNum() = 0 OR %[2]s %% 2 + 1 = shardNum()</filter></%[1]s_local>", table, key)
		}
		fmt.Fprintf(&b, "</%s>", database)
	}
	return b.String()
}

// clustered starts an engine that knows a cluster, for databases of these names.
func clustered(t *testing.T, databases []string) store.Config {
	t.Helper()
	ecfg := engine.DefaultConfig()
	ecfg.Dir = t.TempDir()
	ecfg.Binary = filepath.Join(ecfg.Dir, "none") // the library, inside which the user is called default
	for file, text := range map[string]string{
		"config.d/cluster.xml": fmt.Sprintf(clusterOf, clusterName, filepath.Join(ecfg.Dir, "config.xml")),
		"config.d/other.xml":   fmt.Sprintf(clusterOf, otherCluster, filepath.Join(ecfg.Dir, "config.xml")),
		"users.d/cluster.xml":  fmt.Sprintf(clusterUser, halves(databases)),
	} {
		file = filepath.Join(ecfg.Dir, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	_, cfg := engineOf(t, ecfg)
	cfg.Cluster.Name = clusterName
	return cfg
}

func openClustered(t *testing.T, cfg store.Config) *store.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := store.OpenWithoutKeeper(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestCluster runs what the store does through the Distributed tables of a cluster of two shards. What needs a Keeper, ON CLUSTER and the replication,
// is not part of it.
func TestCluster(t *testing.T) {
	tests := map[string]func(*testing.T, store.Config){
		"history": clusterHistory, "counts": clusterCounts, "records": clusterRecords, "erases": clusterErases,
		"retains": clusterRetains, "opens": clusterOpens, "refuses": clusterRefuses,
	}
	cfg := clustered(t, slices.Sorted(maps.Keys(tests)))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg.Database = name
			test(t, cfg)
		})
	}
}

func clusterHistory(t *testing.T, cfg store.Config) {
	opened := false
	historytest.Run(t, func(t *testing.T) historytest.Rig {
		if opened {
			t.Fatal("a second database is wanted: give it a name and halves of its own")
		}
		opened = true
		s := openClustered(t, cfg)
		return historytest.Rig{Reader: reader{s, store.NewSearcher(s, compile)}, Triager: s, Store: s}
	})
}

// Whatever fails in between and comes again, each event is there once and counts once in every rollup.
func clusterCounts(t *testing.T, cfg store.Config) {
	s := openClustered(t, cfg)
	conn := storetest.Conn(t, cfg)
	events := everyRollup("a", 1, 1000, noon())
	errInjected := errors.New("injected")
	insert := func(failing string, batch []*event.Event) {
		t.Helper()
		w, err := s.NewEventWriter(3)
		if err != nil {
			t.Fatal(err)
		}
		w.SetStep(func(name string) error {
			if name == failing {
				return errInjected
			}
			return nil
		})
		if err = w.Insert(t.Context(), batch); !errors.Is(err, errInjected) && (err != nil || failing != "") {
			t.Fatalf("failing at %q: %v", failing, err)
		}
	}
	for i, failing := range []string{"journal", "events", "rollups", "done"} {
		insert(failing, events[:200*(i+1)])
		insert("", events[:200*i+100])
	}
	insert("", events)
	checkRollups(t, cfg, 1000)
	insert("done", everyRollup("b", 1, 500, noon()))
	for _, lost := range []string{"traffic_hour", "entity_hour"} { // as if the engine had been killed before it came to the last block
		if err := conn.Exec(t.Context(), "TRUNCATE TABLE "+lost+"_local"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		insert("done", everyRollup("b", 1, 500, noon()))
	}
	for table, want := range map[string]uint64{"traffic_minute": 1500, "traffic_hour": 500} {
		var got uint64
		if err := conn.QueryRow(t.Context(), "SELECT sum(requests) FROM "+table).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", table, got, err, want)
		}
	}
}

// Records with ids of their own come twice and are there once.
func clusterRecords(t *testing.T, cfg store.Config) {
	s := openClustered(t, cfg)
	alerts := []*alert.Alert{sampleAlert(0, alert.High), sampleAlert(24, alert.Low)}
	changes := []store.Change{change("d1", decision.Proposed, noon()), change("d1", decision.Active, noon().Add(time.Second))}
	metrics := []store.Metric{{Time: noon(), Instance: "i", Name: "n", Labels: map[string]string{"k": "v"}, Kind: "gauge", Value: 1}}
	for range 2 {
		err := errors.Join(s.InsertAlerts(t.Context(), alerts), s.InsertDecisions(t.Context(), changes), s.InsertMetrics(t.Context(), metrics),
			s.InsertDeliveries(t.Context(), []store.Delivery{{ID: [16]byte{1}, Time: noon(), Sink: "chat", Kind: "slack", Result: "delivered", Records: 1, Attempt: 1}}),
			s.InsertBaselines(t.Context(), []store.Baseline{{Time: noon(), Model: "rate", Kind: "address", Entity: "203.0.113.1"}}),
			s.InsertLedger(t.Context(), lines(t, "decisions", 2)))
		if err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]uint64{}
	for _, table := range []string{"alerts", "decisions", "metrics", "deliveries", "baselines", "ledger"} {
		got[table] = count(t, cfg, table)
	}
	if diff := cmp.Diff(map[string]uint64{"alerts": 2, "decisions": 2, "metrics": 1, "deliveries": 1, "baselines": 1, "ledger": 2}, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func clusterErases(t *testing.T, cfg store.Config) {
	s := openClustered(t, cfg)
	var events []*event.Event
	for i := range 20 {
		e := sample("edge", uint64(i+1), noon().Add(time.Duration(i)*time.Second))
		e.Principal.ID = []string{"alice", "bob"}[i%2]
		events = append(events, e)
	}
	var alerts []*alert.Alert
	for i, who := range []string{"alice", "bob"} {
		a := sampleAlert(i, alert.High)
		a.Group = map[string]string{"principal.id": who}
		alerts = append(alerts, a)
	}
	if err := errors.Join(s.InsertEvents(t.Context(), 0, events), s.InsertAlerts(t.Context(), alerts)); err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		if _, err := s.Triage(t.Context(), "kim", a.ID, history.Triage{State: history.Acknowledged}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		who    string
		dryRun bool
		want   map[string]uint64
	}{
		{"alice", false, map[string]uint64{"events": 10, "entity_hour": 1, "triage": 1, "alerts": 1}},
		{"alice", false, map[string]uint64{}},
		{"bob", true, map[string]uint64{"events": 10, "entity_hour": 1, "triage": 1, "alerts": 1}},
	} {
		got, err := s.Erase(t.Context(), history.Principal, []string{c.who}, c.dryRun)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, rowsErased(got)); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", c.who, diff)
		}
	}
}

func clusterRetains(t *testing.T, cfg store.Config) {
	for _, c := range []struct {
		keep time.Duration
		want string
	}{{48 * time.Hour, "toIntervalSecond(172800)"}, {72 * time.Hour, "toIntervalSecond(259200)"}, {0, ""}} {
		cfg.Retention.Events = config.Duration(c.keep)
		openClustered(t, cfg)
		var got string
		if err := storetest.Conn(t, cfg).QueryRow(t.Context(), "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'events_local'").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, c.want) || c.keep == 0 && strings.Contains(got, "TTL") {
			t.Errorf("retention %s: engine is %s", c.keep, got)
		}
	}
}

// Several start at once; later a server is found to lack a table, as one that is new, and gets it.
func clusterOpens(t *testing.T, cfg store.Config) {
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() {
			s, err := store.OpenWithoutKeeper(t.Context(), cfg)
			if errs[i] = err; err == nil {
				errs[i] = s.Close()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	conn := storetest.Conn(t, cfg)
	made := func() (at time.Time) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT max(applied) FROM schema_migrations").Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	before := made()
	openClustered(t, cfg)
	if at := made(); at.After(before) { // earlier when the rows of those that opened at once were merged
		t.Errorf("where nothing lacks the tables were made again: at %s, first at %s", at, before)
	}
	if err := conn.Exec(t.Context(), "DROP TABLE baselines_local SYNC"); err != nil {
		t.Fatal(err)
	}
	openClustered(t, cfg)
	if got := count(t, cfg, "baselines"); got != 0 {
		t.Errorf("%d rows in a new table", got)
	}
}

func clusterRefuses(t *testing.T, cfg store.Config) {
	openClustered(t, cfg)
	single := cfg
	single.Database, single.Cluster = "single", store.Cluster{}
	if s, err := open(t, single); err != nil {
		t.Fatal(err)
	} else {
		_ = s.Close()
	}
	edit := func(f func(*store.Config)) store.Config {
		c := cfg
		f(&c)
		return c
	}
	for name, c := range map[string]struct {
		cfg  store.Config
		want []string
	}{
		"no cluster any more": {edit(func(c *store.Config) { c.Cluster = store.Cluster{} }), []string{"are those of a cluster", "store.cluster.name", "store.database"}},
		"another cluster":     {edit(func(c *store.Config) { c.Cluster.Name = otherCluster }), []string{"another cluster than other", "store.cluster.name"}},
		"a single server's":   {edit(func(c *store.Config) { c.Database = "single" }), []string{"single", "are those of a single server", "store.database"}},
		"an unknown cluster":  {edit(func(c *store.Config) { c.Database, c.Cluster.Name = "new", "nowhere" }), []string{"knows no cluster nowhere", "remote_servers", clusterName}},
	} {
		s, err := store.OpenWithoutKeeper(t.Context(), c.cfg)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || slices.ContainsFunc(c.want, func(w string) bool { return !strings.Contains(err.Error(), w) }) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
