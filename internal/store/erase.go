package store

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/warder/warder/internal/history"
)

// eraseTimeout bounds the deletion from one table: parts of it are written anew.
const eraseTimeout = time.Hour

// ofSubject are the rows of one person in a table. The conditions use {values}, the names under which the person is stored, and {addresses}, the
// same as addresses.
type ofSubject struct {
	table, where string
	set          string // what is blanked instead of deleting the row
	kept         string // why nothing is done
}

const (
	// subjectAlerts hold for alerts whose entity or sample is the person.
	subjectAlerts = "hasAny(mapValues(entity), {values:Array(String)})" +
		" OR has({values:Array(String)}, JSONExtractString(record, 'sample', 'principal'))" +
		" OR has({values:Array(String)}, JSONExtractString(record, 'sample', 'address'))"
	// Entries name terms, "source.address=203.0.113.9 and api.route=/login".
	subjectLedger    = "arrayExists(t -> has({values:Array(String)}, substring(t, position(t, '=') + 1)), splitByString(' and ', entity))"
	subjectDecisions = "has({values:Array(String)}, value)" +
		" OR arrayExists(x -> has({values:Array(String)}, JSONExtractString(x, 'value')), JSONExtractArrayRaw(record, 'and'))"
)

// subjectTables lists where a person may be, what depends on other rows first.
func subjectTables(kind string) []ofSubject {
	events := "principal_id IN {values:Array(String)}"
	if kind == history.Address {
		events = "source_address IN {addresses:Array(IPv6)} OR source_peer IN {addresses:Array(IPv6)}"
	}
	tables := []ofSubject{
		{table: "events", where: events},
		{table: "entity_hour", where: "kind = {kind:String} AND value IN {values:Array(String)}"},
		{table: "baselines", where: "kind = {kind:String} AND entity IN {values:Array(String)}"},
		{table: "triage", where: "alert IN (SELECT id FROM alerts WHERE " + subjectAlerts + ")"},
		{table: "alerts", where: subjectAlerts},
		{table: "decisions", where: subjectDecisions},
		{table: "audit", where: "subject IN {values:Array(String)}", set: "subject = 'erased'"},
		{table: "ledger", where: subjectLedger,
			kept: "the chain of evidence breaks without it; it goes when retention.audit ends"},
	}
	if kind == history.Principal {
		tables = append(tables, ofSubject{table: "llm_minute", where: "principal_id IN {values:Array(String)}"})
	}
	return tables
}

// Erase deletes what the tables hold of a client or user that is stored under the names, of which the first is the real one. With dryRun it only counts.
// Sums over everybody stay: they name nobody. It can be run again; an error says how far it came.
func (s *Store) Erase(ctx context.Context, kind string, names []string, dryRun bool) (*history.Erasure, error) {
	args, err := subjectArgs(kind, names)
	if err != nil {
		return nil, err
	}
	out := &history.Erasure{DryRun: dryRun}
	for _, t := range subjectTables(kind) {
		done := history.ErasedTable{Table: t.table, Action: "deleted", Reason: t.kept}
		err := s.each(ctx, "count the rows of a person in "+t.table, "SELECT count() FROM "+t.table+" WHERE "+t.where, args,
			func(r driver.Rows) error { return r.Scan(&done.Rows) })
		if err != nil {
			return out, err
		}
		switch {
		case t.kept != "":
			done.Action = "kept"
		case t.set != "":
			done.Action = "blanked"
		}
		if !dryRun && done.Rows > 0 && t.kept == "" {
			mutate := s.mutate
			if s.cluster.on() && t.table == "triage" {
				mutate = s.eraseTriage
			}
			if err = mutate(ctx, t, args); err != nil {
				return out, err
			}
		}
		out.Tables = append(out.Tables, done)
	}
	return out, nil
}

func subjectArgs(kind string, names []string) ([]any, error) {
	if kind != history.Address && kind != history.Principal {
		return nil, fmt.Errorf("%w: %.40q cannot be erased, only what one %s or one %s did", history.ErrQuestion, kind, history.Principal, history.Address)
	}
	addresses := []string{}
	for _, n := range names {
		a, err := netip.ParseAddr(n)
		if kind == history.Address {
			if err != nil {
				return nil, fmt.Errorf("%w: %.80q is no IP address", history.ErrQuestion, n)
			}
			addresses = append(addresses, storedAddr(a).String())
		}
		if n == "" {
			return nil, fmt.Errorf("%w: the name of the person is empty", history.ErrQuestion)
		}
	}
	return []any{clickhouse.Named("kind", kind), clickhouse.Named("values", names), clickhouse.Named("addresses", addresses)}, nil
}

// mutate deletes or blanks the rows and waits until it is done on every replica.
func (s *Store) mutate(ctx context.Context, t ofSubject, args []any) error {
	ctx, cancel := context.WithTimeout(ctx, eraseTimeout)
	defer cancel()
	settings := clickhouse.Settings{"mutations_sync": 2}
	if s.cluster.on() {
		settings["distributed_ddl_task_timeout"] = int(eraseTimeout.Seconds())
	}
	table := s.cluster.alter(t.table)
	sql := "ALTER TABLE " + table + " DELETE WHERE " + t.where
	if t.set != "" {
		sql = "ALTER TABLE " + table + " UPDATE " + t.set + " WHERE " + t.where
	}
	if err := s.define(ctx, settings, sql, args...); err != nil {
		return s.cfg.explain("erase a person from "+t.table, err)
	}
	return nil
}
