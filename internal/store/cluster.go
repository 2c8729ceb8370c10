package store

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// cluster is where the tables lie: spread over the servers of a ClickHouse cluster, or, without a name, on one server. It is the one place that
// knows how a table of the schema becomes one of a cluster (docs/cluster.md): a table X is made as X_local on each server and as a Distributed
// table X over them, so that what asks and inserts need not know.
type cluster struct {
	name     string
	database string
	quorum   int
	// keeperless leaves out what needs a Keeper, ON CLUSTER and the replicated engines: tests run the rest on the embedded engine.
	keeperless bool
}

func newCluster(cfg Config) cluster {
	return cluster{name: cfg.Cluster.Name, database: cfg.Database, quorum: cfg.Cluster.Quorum}
}

// on tells whether there is a cluster.
func (c cluster) on() bool { return c.name != "" }

// local is the name of the table that has the rows.
func (c cluster) local(table string) string {
	if !c.on() {
		return table
	}
	return table + "_local"
}

// alter is how ALTER TABLE names the table that has the rows.
func (c cluster) alter(table string) string {
	if !c.on() {
		return table
	}
	return c.full(c.local(table)) + c.onCluster()
}

// system is a table of the database system: that of every server.
func (c cluster) system(table string) string {
	if !c.on() {
		return "system." + table
	}
	return "clusterAllReplicas('" + c.name + "', system." + table + ")"
}

// retention asks for a table's engine, of which its TTL is a part; in a cluster for that of a server where it has none, if there is one.
func (c cluster) retention() string {
	sql := "SELECT engine_full FROM " + c.system("tables") + " WHERE database = {database:String} AND name = {table:String}"
	if c.on() {
		sql += " ORDER BY position(engine_full, ' TTL ') LIMIT 1"
	}
	return sql
}

// full is a table's name with its database. Both are of letters, digits and _.
func (c cluster) full(table string) string { return "`" + c.database + "`.`" + table + "`" }

// onCluster has a statement run on every server, in the order of a queue that the Keeper holds. The name is of letters, digits, _ and -.
func (c cluster) onCluster() string {
	if !c.on() || c.keeperless {
		return ""
	}
	return " ON CLUSTER `" + c.name + "`"
}

// createDatabase makes the database.
func (c cluster) createDatabase() string {
	return "CREATE DATABASE IF NOT EXISTS `" + c.database + "`" + c.onCluster()
}

// createMigrations makes the table schema_migrations; in a cluster every server of every shard is a replica of the one table.
func (c cluster) createMigrations() string {
	if !c.on() {
		return createMigrations
	}
	sql := strings.Replace(createMigrations, "schema_migrations", c.full("schema_migrations")+c.onCluster(), 1)
	return strings.Replace(sql, "ReplacingMergeTree", c.engine("ReplacingMergeTree", "schema_migrations", "", "{shard}-{replica}"), 1)
}

// engine is the replicated variant of an engine of the MergeTree family. Its path in the Keeper is spelled out: the servers' default has the
// table's UUID in it, which is another one where a server that came later, or failed the first time, makes the table.
func (c cluster) engine(engine, table, shard, replica string) string {
	if c.keeperless || !strings.HasSuffix(engine, "MergeTree") {
		return engine
	}
	return fmt.Sprintf("Replicated%s('/clickhouse/tables/%s/%s/%s%s', '%s')", engine, c.name, c.database, table, shard, replica)
}

// shardingKeys tell on which shard a row goes. The events of a partition of the topic stay together with their journal and the rollups that know
// them; rows of one id stay together so that repeats collapse. Rollups have none: views fill them, and nothing is inserted through their name.
func shardingKeys() map[string]string {
	const partition, id = "kafka_partition", "cityHash64(id)"
	return map[string]string{
		"events": partition, "rollup_feed": partition, "event_blocks": partition,
		"alerts": id, "decisions": id, "audit": id, "ledger": id, "deliveries": id,
		"triage": "cityHash64(alert)", "metrics": "cityHash64(name, instance)", "baselines": "cityHash64(model, kind, entity)",
		"traffic_minute": "", "traffic_hour": "", "origin_minute": "", "entity_hour": "", "endpoints": "", "llm_minute": "",
	}
}

// Statements of the schema begin so.
const (
	createTable = "CREATE TABLE IF NOT EXISTS "
	createView  = "CREATE MATERIALIZED VIEW IF NOT EXISTS "
	alterTable  = "ALTER TABLE "
	addColumn   = " ADD COLUMN IF NOT EXISTS "
)

// steps turns the steps of the schema into those of the cluster, which begins empty: a table that a later step makes anew is only made there, and has
// its columns at once. (A server that comes later could not make a table whose replicas have a column more.)
func (c cluster) steps(all []migration) ([]migration, error) {
	last, added := make(map[string]uint32), make(map[string]string)
	for _, m := range all {
		for _, sql := range m.statements {
			last[head(sql)] = m.version
			if table, column, ok := newColumn(sql); ok {
				added[table] += ",\n    " + column
			}
		}
	}
	var out []migration
	for _, m := range all {
		step := migration{version: m.version, name: m.name}
		for _, sql := range m.statements {
			if _, _, is := newColumn(sql); is || last[head(sql)] != m.version {
				continue
			}
			if table, ok := strings.CutPrefix(head(sql), createTable); ok {
				sql = strings.Replace(sql, "\n) ENGINE = ", added[table]+"\n) ENGINE = ", 1)
			}
			spread, err := c.spread(sql)
			if err != nil {
				return nil, fmt.Errorf("schema version %d (%s): %w", m.version, m.name, err)
			}
			step.statements = append(step.statements, spread...)
		}
		out = append(out, step)
	}
	return out, nil
}

// newColumn tells which column a statement adds to which table; false when it does something else.
func newColumn(sql string) (table, column string, ok bool) {
	rest, ok := strings.CutPrefix(sql, alterTable)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, addColumn)
}

// head is the part of a statement that names what it makes.
func head(sql string) string {
	name, _, _ := strings.Cut(sql, " (")
	return name
}

// spread turns a statement of the schema into those of the cluster.
func (c cluster) spread(sql string) ([]string, error) {
	if rest, ok := strings.CutPrefix(sql, createView); ok {
		return c.spreadView(rest)
	}
	if rest, ok := strings.CutPrefix(sql, createTable); ok {
		return c.spreadTable(rest)
	}
	return nil, fmt.Errorf("it is not known how to spread over a cluster: %.80q", sql)
}

// spreadTable makes the table that has the rows and the one over it.
func (c cluster) spreadTable(sql string) ([]string, error) {
	table, rest, _ := strings.Cut(sql, " (")
	columns, rest, ok := strings.Cut(rest, "\n) ENGINE = ")
	key, known := shardingKeys()[table]
	if !ok || !known {
		return nil, fmt.Errorf("it is not known how to spread the table %.80q over a cluster", table)
	}
	engine, options, _ := strings.Cut(rest, "\n")
	if options != "" {
		options = "\n" + options
	}
	if !c.keeperless { // as long as the journal is kept
		options = strings.Replace(options, "non_replicated_deduplication_window = 20000",
			"replicated_deduplication_window = 20000, replicated_deduplication_window_seconds = 604800", 1)
	}
	local := c.local(table)
	if key != "" {
		key = ", " + key
	}
	return []string{
		createTable + c.full(local) + c.onCluster() + " (" + columns + "\n) ENGINE = " + c.engine(engine, local, "/{shard}", "{replica}") + options,
		createTable + c.full(table) + c.onCluster() + " AS " + c.full(local) +
			fmt.Sprintf(" ENGINE = Distributed('%s', '%s', '%s'%s)", c.name, c.database, local, key),
	}, nil
}

// spreadView makes a view that reads and fills tables of its own server. A rollup knows a block that comes again by its token and the view's UUID,
// so the view has the same on every replica, also on one that comes later.
func (c cluster) spreadView(sql string) ([]string, error) {
	name, query, ok := strings.Cut(sql, " AS\n")
	view, target, _ := strings.Cut(name, " TO ")
	before, after, from := strings.Cut(query, "\nFROM ")
	source, tail, _ := strings.Cut(after, " ")
	if _, known := shardingKeys()[source]; !ok || !from || !known || target == "" {
		return nil, fmt.Errorf("it is not known how to spread the view %.80q over a cluster", view)
	}
	id := sha256.Sum256([]byte(c.name + "\x00" + c.database + "\x00" + view))
	return []string{createView + c.full(view) + fmt.Sprintf(" UUID '%x-%x-%x-%x-%x'", id[:4], id[4:6], id[6:8], id[8:10], id[10:16]) + c.onCluster() +
		" TO " + c.full(c.local(target)) + " AS\n" + before + "\nFROM " + c.full(c.local(source)) + " " + tail}, nil
}

// made lists the names of what the steps of a cluster make, for comparing with what a server has.
func made(steps []migration) []string {
	names := make(map[string]bool)
	for _, m := range steps {
		for _, sql := range m.statements {
			quoted := strings.SplitN(sql, "`", 5) // before, database, ".", table, after
			names[quoted[3]] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Waiting for the servers of a cluster, in seconds.
const (
	defineSeconds = 90 // below readTimeout
	quorumSeconds = 60 // below insertTimeout
)

// settings are those of every statement in a cluster.
//
// What is looked for after a failed insert must be seen: inserts are acknowledged when they are on a shard and most of its replicas have them; reads
// and inserts go to the same replica of a shard, the first one that lives, unless it lags behind another. When all lag, as after the death of one that
// had begun an insert, it goes on with the one that lags least.
func (c cluster) settings() clickhouse.Settings {
	if !c.on() {
		return nil
	}
	quorum, own := any("auto"), 0
	if c.quorum > 0 {
		quorum = c.quorum
	}
	if c.keeperless { // the embedded engine cannot be dialled by itself
		own = 1
	}
	return clickhouse.Settings{
		"distributed_foreground_insert":                      1,
		"insert_quorum":                                      quorum,
		"insert_quorum_parallel":                             1,
		"insert_quorum_timeout":                              quorumSeconds * 1000,
		"load_balancing":                                     "in_order",
		"use_hedged_requests":                                0,
		"prefer_localhost_replica":                           own,
		"max_replica_delay_for_distributed_queries":          1,
		"fallback_to_stale_replicas_for_distributed_queries": 1,
		// A subquery of a table of the cluster is asked once and its answer sent to the shards.
		"distributed_product_mode": "global",
		// Blocks that go to the rollups again stay as they are.
		"parallel_distributed_insert_select": 0,
		"distributed_ddl_task_timeout":       defineSeconds,
		"distributed_ddl_output_mode":        "throw",
	}
}
