package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// ErrNewerSchema is wrapped by Open's error when a newer program made the schema.
var ErrNewerSchema = errors.New("the schema is newer than this program")

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the schema: migrations/0001_name.sql. A file that was released is never changed.
type migration struct {
	version    uint32
	name       string
	statements []string
}

// migrations reads the steps in order; their numbers have no gaps.
func migrations(fsys fs.FS) ([]migration, error) {
	files, err := fs.Glob(fsys, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var out []migration
	for i, f := range files {
		number, name, _ := strings.Cut(strings.TrimSuffix(path.Base(f), ".sql"), "_")
		v, err := strconv.ParseUint(number, 10, 32)
		if err != nil || v != uint64(i+1) {
			return nil, fmt.Errorf("migration file %s: want number %04d", f, i+1)
		}
		text, err := fs.ReadFile(fsys, f)
		if err != nil {
			return nil, err
		}
		out = append(out, migration{version: uint32(v), name: name, statements: statements(string(text))})
	}
	return out, nil
}

// statements cuts a file at semicolons that end a line, and drops comment lines.
func statements(text string) []string {
	var out []string
	var b strings.Builder
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "--") {
			continue
		}
		if end, ok := strings.CutSuffix(trimmed, ";"); ok {
			b.WriteString(end)
			out = append(out, b.String())
			b.Reset()
			continue
		}
		b.WriteString(line)
	}
	return out
}

const createMigrations = `CREATE TABLE IF NOT EXISTS schema_migrations (
    version UInt32,
    name    String,
    applied DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree ORDER BY version`

// migrate brings the schema up to this program's version. Of several instances that start at once one does so while the others wait. Each
// statement can be run again, so that another goes on where one died.
func (s *Store) migrate(ctx context.Context) error {
	steps, err := migrations(migrationFiles)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if s.cluster.on() {
		return s.migrateCluster(ctx, steps)
	}
	if err = retryRace(ctx, func() error { return s.conn.Exec(ctx, createMigrations) }); err != nil {
		return s.cfg.explain("make the table schema_migrations", err)
	}
	newest := uint32(len(steps))
	done := func(ctx context.Context) (bool, error) {
		have, err := s.schemaVersion(ctx, newest)
		return have == newest, err
	}
	return s.locked(ctx, done, func(ctx context.Context, held func(context.Context) error) error {
		have, err := s.schemaVersion(ctx, newest)
		if err != nil {
			return err
		}
		for _, m := range steps[have:] {
			if err = s.apply(ctx, m, held); err != nil {
				return err
			}
			s.log.Info("store schema migrated", "version", m.version, "name", m.name)
		}
		return nil
	})
}

// schemaVersion reads the version of the schema, which must not be above newest; 0 before the first.
func (s *Store) schemaVersion(ctx context.Context, newest uint32) (uint32, error) {
	var have uint32
	if err := s.conn.QueryRow(ctx, "SELECT max(version) FROM schema_migrations").Scan(&have); err != nil {
		return 0, s.cfg.explain("read the schema's version", err)
	}
	if have > newest {
		return 0, fmt.Errorf("store: the database %s has schema version %d, this program knows versions up to %d: %w: run a newer Warder, or name another database in store.database", s.cfg.Database, have, newest, ErrNewerSchema)
	}
	return have, nil
}

// apply runs a step. held is for what comes over from the version before, which a cluster never has.
func (s *Store) apply(ctx context.Context, m migration, held func(context.Context) error) error {
	carry := m.version == historyVersion && !s.cluster.on()
	if carry {
		if err := errors.Join(s.dropStaging(ctx), s.setAside(ctx)); err != nil {
			return err
		}
	}
	for _, sql := range m.statements {
		if err := retryRace(ctx, func() error { return s.define(ctx, nil, sql) }); err != nil {
			return s.cfg.explain(fmt.Sprintf("migrate to schema version %d (%s)", m.version, m.name), err)
		}
	}
	if carry {
		if err := s.carryOver(ctx, m, held); err != nil {
			return err
		}
	}
	err := s.conn.Exec(ctx, "INSERT INTO schema_migrations (version, name) SELECT {version:UInt32}, {name:String}",
		clickhouse.Named("version", m.version), clickhouse.Named("name", m.name))
	if err != nil {
		return s.cfg.explain("record the migration", err)
	}
	return nil
}

// applyRetention sets each table's TTL where it is not the configured one. It only touches the metadata: parts are dropped, whole, when
// they expire.
func (s *Store) applyRetention(ctx context.Context) error {
	for _, t := range s.cfg.Retention.tables() {
		seconds := int64(t.keep.Std().Seconds())
		var have string
		err := s.conn.QueryRow(s.everywhere(ctx), s.cluster.retention(),
			clickhouse.Named("database", s.cfg.Database), clickhouse.Named("table", s.cluster.local(t.table))).Scan(&have)
		if err != nil {
			return s.cfg.explain("read the retention of "+t.table, err)
		}
		want := fmt.Sprintf("TTL toDateTime(%s) + toIntervalSecond(%d)", t.column, seconds)
		sql := "ALTER TABLE " + s.cluster.alter(t.table) + " MODIFY " + want + " SETTINGS materialize_ttl_after_modify = 0"
		if seconds == 0 {
			if !strings.Contains(have, " TTL ") {
				continue
			}
			sql = "ALTER TABLE " + s.cluster.alter(t.table) + " REMOVE TTL"
		} else if strings.Contains(have, want+" ") {
			continue
		}
		if err = retryRace(ctx, func() error { return s.define(ctx, nil, sql) }); err != nil {
			return s.cfg.explain("set the retention of "+t.table, err)
		}
	}
	return nil
}
