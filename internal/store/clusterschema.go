package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// codeUnknownColumn is ClickHouse's UNKNOWN_IDENTIFIER.
const codeUnknownColumn = 47

// everywhere has a question be asked of those servers of a cluster that can be reached; the others have nothing to tell.
func (s *Store) everywhere(ctx context.Context) context.Context {
	if !s.cluster.on() {
		return ctx
	}
	return clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"skip_unavailable_shards": 1}))
}

// define runs a statement that makes or changes tables; in a cluster it waits until every server has done so, and fails when one has not.
func (s *Store) define(ctx context.Context, settings clickhouse.Settings, sql string, args ...any) error {
	if s.cluster.on() && s.cfg.Protocol == HTTP { // otherwise the failure of a server may come behind a status of success
		if settings == nil {
			settings = clickhouse.Settings{}
		}
		settings["wait_end_of_query"] = 1
	}
	if settings != nil {
		ctx = clickhouse.Context(ctx, clickhouse.WithSettings(settings))
	}
	return s.conn.Exec(ctx, sql, args...)
}

// checkPlace refuses a database whose tables were made for one server when there is a cluster, the reverse, and the tables of another cluster.
func (s *Store) checkPlace(ctx context.Context) error {
	var all, spread, ours uint64
	err := s.conn.QueryRow(ctx, "SELECT count(), countIf(engine = 'Distributed'), countIf(startsWith(engine_full, {ours:String})) "+
		"FROM system.tables WHERE database = {database:String} AND name IN ('events', 'alerts')",
		clickhouse.Named("ours", "Distributed('"+s.cluster.name+"',"), clickhouse.Named("database", s.cfg.Database)).Scan(&all, &spread, &ours)
	const move = "name another database in store.database; nothing is moved from one to the other"
	switch {
	case err != nil:
		return s.cfg.explain("look at the tables of the database", err)
	case !s.cluster.on() && spread > 0:
		return fmt.Errorf("store: the tables of the database %s are those of a cluster: set store.cluster.name as it was, or %s", s.cfg.Database, move)
	case s.cluster.on() && spread < all:
		return fmt.Errorf("store: the tables of the database %s are those of a single server and cannot be turned into those of a cluster: leave store.cluster.name out, or %s", s.cfg.Database, move)
	case s.cluster.on() && ours < all:
		return fmt.Errorf("store: the tables of the database %s belong to another cluster than %s: set store.cluster.name as it was, or %s", s.cfg.Database, s.cluster.name, move)
	}
	return nil
}

// checkServers looks whether the server knows the cluster, and has what the tables of one need.
func (c cluster) checkServers(ctx context.Context, conn driver.Conn, cfg Config) error {
	if !c.on() {
		return nil
	}
	const what = "look at the cluster"
	var servers, macros uint64
	var known string
	err := conn.QueryRow(ctx, "SELECT countIf(cluster = {name:String}), arrayStringConcat(arraySort(groupUniqArray(cluster)), ', ') FROM system.clusters",
		clickhouse.Named("name", c.name)).Scan(&servers, &known)
	if err != nil {
		return cfg.explain(what, err)
	}
	if servers == 0 {
		return fmt.Errorf("store: ClickHouse at %s knows no cluster %s (store.cluster.name): define it in the servers' remote_servers; the clusters there are: %s", cfg.Addrs[0], c.name, known)
	}
	var doubled uint64
	err = conn.QueryRow(ctx, "SELECT count() FROM system.clusters WHERE cluster = {name:String} AND replica_num > 1 AND NOT internal_replication",
		clickhouse.Named("name", c.name)).Scan(&doubled)
	var ex *clickhouse.Exception
	if err != nil && (!errors.As(err, &ex) || ex.Code != codeUnknownColumn) { // an older server does not tell
		return cfg.explain(what, err)
	}
	if doubled > 0 {
		return fmt.Errorf("store: the cluster %s lets an insert go to each replica of a shard, although the tables replicate themselves: set internal_replication to true for its shards in the servers' remote_servers", c.name)
	}
	if c.keeperless {
		return nil
	}
	if err = conn.QueryRow(ctx, "SELECT count() FROM system.macros WHERE macro IN ('shard', 'replica')").Scan(&macros); err != nil {
		return cfg.explain(what, err)
	}
	if macros < 2 {
		return fmt.Errorf("store: ClickHouse at %s lacks the macro shard or replica, by which replicas of the cluster %s find each other: define both in the macros of each server", cfg.Addrs[0], c.name)
	}
	return nil
}

// migrateCluster brings the schema of a cluster up to this program's version, and to servers that came since. It takes no lock: the statements of
// several instances that start at once stand in one queue, every server goes through it in its order, and each statement can be run again.
func (s *Store) migrateCluster(ctx context.Context, all []migration) error {
	steps, err := s.cluster.steps(all)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	have, err := s.schemaVersion(ctx, uint32(len(steps)))
	var ex *clickhouse.Exception
	if errors.As(err, &ex) && ex.Code == codeUnknownTable {
		have, err = 0, nil
	}
	if err != nil {
		return err
	}
	whole, err := s.whole(ctx, made(steps))
	if err != nil || whole && have == uint32(len(steps)) {
		return err
	}
	for _, sql := range []string{s.cluster.createDatabase(), s.cluster.createMigrations()} {
		if err = retryRace(ctx, func() error { return s.define(ctx, nil, sql) }); err != nil {
			return s.cfg.explain("make the table schema_migrations", err)
		}
	}
	for _, m := range steps {
		if err = s.apply(ctx, m, nil); err != nil {
			return err
		}
		s.log.Info("store schema made on the cluster", "cluster", s.cluster.name, "version", m.version, "name", m.name)
	}
	return nil
}

// whole tells whether each server of the cluster that can be reached has all tables of the names.
func (s *Store) whole(ctx context.Context, names []string) (bool, error) {
	var least uint64
	err := s.conn.QueryRow(s.everywhere(ctx), "SELECT min(n) FROM (SELECT countIf(database = {database:String} AND name IN {names:Array(String)}) AS n FROM "+
		s.cluster.system("tables")+" GROUP BY shardNum())", // with each replica a shard of its own
		clickhouse.Named("database", s.cfg.Database), clickhouse.Named("names", slices.Clone(names))).Scan(&least)
	if err != nil {
		return false, s.cfg.explain("look which servers of the cluster have the tables", err)
	}
	return least == uint64(len(names)), nil
}

// maxErased is how many alerts one statement names.
const maxErased = 5000

// eraseTriage is what deletes the triage of a person's alerts in a cluster. A mutation with a subquery is refused there, because each replica would ask
// on its own; the alerts are named instead.
func (s *Store) eraseTriage(ctx context.Context, t ofSubject, args []any) error {
	var alerts []string
	err := s.conn.QueryRow(s.limited(ctx), "SELECT groupUniqArray(id) FROM alerts WHERE "+subjectAlerts, args...).Scan(&alerts)
	if err != nil {
		return s.explainRead("look for the alerts of a person", err)
	}
	for some := range slices.Chunk(alerts, maxErased) {
		named := ofSubject{table: t.table, where: "alert IN {alerts:Array(String)}"}
		if err = s.mutate(ctx, named, []any{clickhouse.Named("alerts", some)}); err != nil {
			return err
		}
	}
	return nil
}
