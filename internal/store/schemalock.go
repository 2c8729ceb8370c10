package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// lockPrefix begins the names of the tables that are the lock: with CREATE TABLE of one name only one of many succeeds, which is what ClickHouse has
// for a lock. The one with the highest number holds. Its rows are signs of life; who gives none for lockExpiry is dead, and the next number can be taken.
const lockPrefix = "schema_lock_"

const (
	lockBeat   = 5 * time.Second
	lockExpiry = 60 * time.Second
	lockLook   = 200 * time.Millisecond
)

// errLockLost is what a holder is told that was taken for dead.
var errLockLost = errors.New("another instance has taken the migration over")

// locked runs f while no other instance runs one; done ends the waiting when another has done it. held tells f whether it still holds the lock.
func (s *Store) locked(ctx context.Context, done func(context.Context) (bool, error), f func(ctx context.Context, held func(context.Context) error) error) error {
	for {
		if ok, err := done(ctx); ok || err != nil {
			return err
		}
		number, alive, err := s.lockHolder(ctx)
		if err != nil {
			return err
		}
		if !alive {
			name := lockPrefix + strconv.FormatUint(number+1, 10)
			err = s.conn.Exec(ctx, "CREATE TABLE "+name+" (at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY at")
			var ex *clickhouse.Exception
			switch {
			case err == nil:
				return s.holding(ctx, number+1, done, f)
			case !errors.As(err, &ex) || ex.Code != codeTableExists && ex.Code != codeDirectoryExists:
				return s.cfg.explain("take the lock for the migration", err)
			}
		}
		select {
		case <-time.After(lockLook):
		case <-ctx.Done():
			return fmt.Errorf("store: wait for another instance that migrates the schema: %w", ctx.Err())
		}
	}
}

// lockHolder returns the highest number, 0 without any, and whether its holder lives.
func (s *Store) lockHolder(ctx context.Context) (number uint64, alive bool, err error) {
	const what = "look at the lock for the migration"
	err = s.conn.QueryRow(ctx, "SELECT max(toUInt64OrZero(substring(name, {skip:UInt8}))) FROM system.tables WHERE database = {database:String} AND startsWith(name, {prefix:String})",
		clickhouse.Named("skip", len(lockPrefix)+1), clickhouse.Named("database", s.cfg.Database), clickhouse.Named("prefix", lockPrefix)).Scan(&number)
	if err != nil || number == 0 {
		if err != nil {
			err = s.cfg.explain(what, err)
		}
		return number, false, err
	}
	name := lockPrefix + strconv.FormatUint(number, 10)
	var seconds int64
	err = s.conn.QueryRow(ctx, "SELECT dateDiff('second', greatest((SELECT max(at) FROM "+name+"), max(metadata_modification_time)), now()) FROM system.tables "+
		"WHERE database = {database:String} AND name = {name:String}", clickhouse.Named("database", s.cfg.Database), clickhouse.Named("name", name)).Scan(&seconds)
	var ex *clickhouse.Exception
	if errors.As(err, &ex) && ex.Code == codeUnknownTable { // released just now
		return number, true, nil
	}
	if err != nil {
		return 0, false, s.cfg.explain(what, err)
	}
	return number, seconds < int64(lockExpiry.Seconds()), nil
}

// holding runs f with the lock, gives signs of life meanwhile, and frees the lock.
func (s *Store) holding(ctx context.Context, number uint64, done func(context.Context) (bool, error), f func(ctx context.Context, held func(context.Context) error) error) error {
	name := lockPrefix + strconv.FormatUint(number, 10)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(lockBeat)
		defer tick.Stop()
		for {
			if err := s.conn.Exec(ctx, "INSERT INTO "+name+" SELECT now64(3)"); err != nil && ctx.Err() == nil {
				s.log.Warn("store: the lock for the migration could not be renewed", "error", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	held := func(ctx context.Context) error {
		newest, _, err := s.lockHolder(ctx)
		if err == nil && newest != number {
			err = fmt.Errorf("store: %w", errLockLost)
		}
		return err
	}
	ok, err := done(ctx) // between the look and the lock another may have come to the end
	if err == nil && !ok {
		err = f(ctx, held)
	}
	cancel()
	wg.Wait()
	return errors.Join(err, s.unlock(context.WithoutCancel(ctx), number))
}

// unlock drops the lock's table and those of holders that died.
func (s *Store) unlock(ctx context.Context, number uint64) error {
	for n := uint64(1); n <= number; n++ {
		if err := s.conn.Exec(ctx, "DROP TABLE IF EXISTS "+lockPrefix+strconv.FormatUint(n, 10)); err != nil {
			return s.cfg.explain("free the lock for the migration", err)
		}
	}
	return nil
}
