package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// historyVersion is the step of the schema that makes the events anew and adds the rollups.
const historyVersion = 3

// oldEvents is what the events table of the versions before is called while its rows come over.
const oldEvents = "events_before"

// setAside gives the events table of the versions before another name, so that the new one can be made.
func (s *Store) setAside(ctx context.Context) error {
	var stored, aside uint64
	err := s.conn.QueryRow(ctx, "SELECT countIf(table = 'events' AND name = 'id' AND default_kind = ''), countIf(table = {aside:String}) "+
		"FROM system.columns WHERE database = {database:String}", clickhouse.Named("aside", oldEvents), clickhouse.Named("database", s.cfg.Database)).Scan(&stored, &aside)
	if err != nil {
		return s.cfg.explain("look at the events table", err)
	}
	if stored == 0 || aside > 0 {
		return nil
	}
	if err = s.conn.Exec(ctx, "RENAME TABLE events TO "+oldEvents); err != nil {
		return s.cfg.explain("set the events table aside", err)
	}
	return nil
}

// carryOver brings the old events into the new table and the rollups, day by day. A day is put together in tables of their own and then takes the
// place of what is there in one step, so it can be done again; the day goes from the old table when it is over. held fails when another instance took over.
func (s *Store) carryOver(ctx context.Context, m migration, held func(context.Context) error) error {
	days, err := s.strings(ctx, "list the days to carry over", "SELECT DISTINCT partition FROM system.parts WHERE active AND database = {database:String} AND table = {table:String} ORDER BY partition",
		clickhouse.Named("database", s.cfg.Database), clickhouse.Named("table", oldEvents))
	if err != nil {
		return err
	}
	for i, day := range days {
		if err = s.carryDay(ctx, m, day, held); err != nil {
			return err
		}
		s.log.Info("store: a day of events carried over", "day", day, "done", i+1, "of", len(days))
	}
	if err = s.conn.Exec(ctx, "DROP TABLE IF EXISTS "+oldEvents); err != nil {
		return s.cfg.explain("drop the old events", err)
	}
	return nil
}

// carryDay carries one day over; day is digits, as the server told it.
func (s *Store) carryDay(ctx context.Context, m migration, day string, held func(context.Context) error) error {
	var names []string
	for _, c := range eventInserts() {
		names = append(names, c.name)
	}
	values := strings.Join(names, ", ")
	values = strings.Replace(values, "request_uuid", "if(match(request_id, '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'), toUUIDOrZero(request_id), toUUID('00000000-0000-0000-0000-000000000000')) AS request_uuid", 1)
	values = strings.Replace(values, "request_text", "if(request_uuid = toUUID('00000000-0000-0000-0000-000000000000'), request_id, '') AS request_text", 1)
	fill := "INSERT INTO %s (" + strings.Join(names, ", ") + ") SELECT " + values + " FROM " + oldEvents + " WHERE toYYYYMMDD(time) = " + day
	if err := s.replaceDay(ctx, "events", day, []string{fill}, held); err != nil {
		return err
	}
	for _, table := range rollupsOf(m) {
		if err := s.replaceDay(ctx, table.name, day, table.fills(day), held); err != nil {
			return err
		}
	}
	if err := s.conn.Exec(ctx, "ALTER TABLE "+oldEvents+" DROP PARTITION ID '"+day+"'"); err != nil {
		return s.cfg.explain("drop the old events of "+day, err)
	}
	return nil
}

// replaceDay fills a table of its own, whose name stands for %s in the statements, and puts it in the place of the table's day.
func (s *Store) replaceDay(ctx context.Context, table, day string, fills []string, held func(context.Context) error) error {
	doing := fmt.Sprintf("carry the day %s over into %s", day, table)
	staging := table + "_staging_" + strings.ToLower(rand.Text())
	if err := s.conn.Exec(ctx, "CREATE TABLE "+staging+" AS "+table); err != nil {
		return s.cfg.explain(doing, err)
	}
	err := func() error {
		for _, fill := range fills {
			if err := s.conn.Exec(ctx, fmt.Sprintf(fill, staging)); err != nil {
				return s.cfg.explain(doing, err)
			}
		}
		if err := held(ctx); err != nil {
			return err
		}
		if err := s.conn.Exec(ctx, "ALTER TABLE "+table+" REPLACE PARTITION ID '"+day+"' FROM "+staging); err != nil {
			return s.cfg.explain(doing, err)
		}
		return nil
	}()
	if dropErr := s.conn.Exec(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS "+staging); err == nil && dropErr != nil {
		err = s.cfg.explain(doing, dropErr)
	}
	return err
}

// dropStaging drops what an instance that died left.
func (s *Store) dropStaging(ctx context.Context) error {
	tables, err := s.strings(ctx, "list what a migration left", "SELECT name FROM system.tables WHERE database = {database:String} AND name LIKE '%\\\\_staging\\\\_%'", clickhouse.Named("database", s.cfg.Database))
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err = s.conn.Exec(ctx, "DROP TABLE IF EXISTS `"+t+"`"); err != nil {
			return s.cfg.explain("drop what a migration left", err)
		}
	}
	return nil
}

// rollup is a table that views fill.
type rollup struct {
	name  string
	views []string // their SELECTs
}

// rollupsOf finds the rollups and their views among the step's statements, in their order: one that is fed by another comes behind it.
func rollupsOf(m migration) []rollup {
	var out []rollup
	for _, sql := range m.statements {
		head, query, ok := strings.Cut(sql, " AS\n")
		words := strings.Fields(head)
		if !ok || len(words) < 2 || words[1] != "MATERIALIZED" {
			continue
		}
		table := words[len(words)-1]
		if n := len(out); n > 0 && out[n-1].name == table {
			out[n-1].views = append(out[n-1].views, query)
			continue
		}
		out = append(out, rollup{name: table, views: []string{query}})
	}
	return out
}

// fills returns the statements that fill a table like the rollup from what its views read, for one day.
func (r rollup) fills(day string) []string {
	var out []string
	for _, q := range r.views {
		q = strings.Replace(q, "FROM rollup_feed AS e", "FROM (SELECT * FROM events WHERE toYYYYMMDD(time) = "+day+") AS e", 1)
		q = strings.Replace(q, "FROM traffic_minute AS m", "FROM (SELECT * FROM traffic_minute WHERE toYYYYMMDD(time) = "+day+") AS m", 1)
		out = append(out, "INSERT INTO %s SELECT "+strings.TrimPrefix(strings.ReplaceAll(q, "%", "%%"), "SELECT "))
	}
	return out
}

// strings reads a column of text.
func (s *Store) strings(ctx context.Context, what, sql string, args ...any) ([]string, error) {
	rows, err := s.conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, s.cfg.explain(what, err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var v string
		if err = rows.Scan(&v); err != nil {
			return nil, s.cfg.explain(what, err)
		}
		out = append(out, v)
	}
	if err = rows.Err(); err != nil {
		return nil, s.cfg.explain(what, err)
	}
	return out, nil
}
