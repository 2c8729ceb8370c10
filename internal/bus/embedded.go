package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/tlsconf"
)

// EmbeddedConfig configures the broker that `warder up` runs in its own process.
type EmbeddedConfig struct {
	Dir   string `yaml:"dir"`   // data directory; empty: in memory
	Port  int    `yaml:"port"`  // on 127.0.0.1; 0: a free one
	Fsync bool   `yaml:"fsync"` // survive a power failure too, at the price of throughput
	// Retention bounds each partition's log. There is no bound in time; see docs/bus.md.
	Retention config.Bytes `yaml:"retention"`
}

// DefaultEmbeddedConfig keeps 128 MiB of each partition, in memory unless a directory is set.
func DefaultEmbeddedConfig() EmbeddedConfig { return EmbeddedConfig{Retention: 128 << 20} }

// Validate reports every fault as a config.FieldError.
func (c EmbeddedConfig) Validate() error {
	var errs []error
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, config.Errorf("port", "is %d: write 0 to 65535", c.Port))
	}
	if c.Retention < 1<<20 {
		errs = append(errs, config.Errorf("retention", "is %d: write 1MiB or more", c.Retention))
	}
	return errors.Join(errs...)
}

const (
	segmentBytes  = 16 << 20         // files are deleted whole, so the disk holds up to one more than Retention
	maintainEvery = 30 * time.Second // retention and compaction
	never         = 100 * 365 * 24 * time.Hour
)

// Embedded is a broker of one node with a data directory, on loopback, without authentication. It is twmb/franz-go's kfake.
type Embedded struct {
	cfg     EmbeddedConfig
	log     *slog.Logger
	cluster *kfake.Cluster
	addrs   []string
	lock    *os.File
	cancel  context.CancelFunc
	done    sync.WaitGroup
	once    sync.Once
}

// StartEmbedded opens the data directory, which one process may have open at a time, and listens.
func StartEmbedded(cfg EmbeddedConfig, log *slog.Logger) (*Embedded, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	e := &Embedded{cfg: cfg, log: log}
	if err := e.start(); err != nil {
		e.unlock()
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.done.Go(func() { e.maintain(ctx) })
	return e, nil
}

func (e *Embedded) start() (err error) {
	opts := []kfake.Opt{
		kfake.Ports(e.cfg.Port), kfake.ClusterID("warder"), kfake.WithLogger(brokerLog{e.log}),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes":   strconv.Itoa(segmentBytes),
			"log.retention.bytes": strconv.FormatInt(int64(e.cfg.Retention), 10),
			"log.retention.ms":    "-1",
			// The broker's own cleaning is not safe against being killed; maintain does it.
			"log.cleaner.backoff.ms": strconv.FormatInt(never.Milliseconds(), 10),
		}),
	}
	if e.cfg.Dir != "" {
		if err = os.MkdirAll(e.cfg.Dir, 0o700); err == nil {
			e.lock, err = lockDir(e.cfg.Dir)
		}
		if err == nil {
			err = restoreBackup(e.cfg.Dir)
		}
		if err != nil {
			return fmt.Errorf("%w (the directory is kafka.embedded.dir, by default below data_dir)", err)
		}
		opts = append(opts, kfake.DataDir(e.cfg.Dir))
		if e.cfg.Fsync {
			opts = append(opts, kfake.SyncWrites())
		}
	}
	if e.cluster, err = kfake.NewCluster(opts...); err != nil {
		return explainListen(e.cfg.Port, err)
	}
	e.addrs = e.cluster.ListenAddrs()
	if e.cfg.Dir != "" {
		debug.FreeOSMemory() // after a crash the broker reads its whole log into memory once
	}
	return nil
}

func explainListen(port int, err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "listen" {
		return fmt.Errorf("%w: set kafka.embedded.port to another port, or to 0 for a free one (it is %d)", err, port)
	}
	return err
}

// Addrs returns the addresses to connect to.
func (e *Embedded) Addrs() []string { return e.addrs }

// ClientConfig is what a client of this broker uses: the base with its brokers, one replica, and retention by size alone.
func (e *Embedded) ClientConfig(base Config) Config {
	base.Brokers = e.Addrs()
	base.TLS, base.SASL = tlsconf.Switched{}, SASL{}
	base.Replication = 1
	base.Retention = Retention{Bytes: e.cfg.Retention}
	return base
}

// Close flushes and stops. Clients see their connections close.
func (e *Embedded) Close() error {
	e.once.Do(func() {
		e.cancel()
		e.done.Wait()
		e.cluster.Close()
		e.unlock()
	})
	return nil
}

func (e *Embedded) unlock() {
	if e.lock != nil {
		_ = e.lock.Close() // gives the lock up
	}
}

// maintain applies retention and compaction now and then.
func (e *Embedded) maintain(ctx context.Context) {
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	sizes := make(map[string]int64)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		e.cluster.ApplyRetention()
		if e.cfg.Dir == "" {
			e.cluster.Compact()
			continue
		}
		if err := e.compact(sizes); err != nil {
			e.log.Error("embedded broker cannot compact its topics", "err", err)
		}
	}
}

// brokerLog passes the broker's warnings on.
type brokerLog struct{ log *slog.Logger }

// Logf implements kfake.Logger.
func (l brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level != kfake.LogLevelError && level != kfake.LogLevelWarn {
		return
	}
	text := strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD")
	l.log.Warn("embedded broker", "message", text[:min(len(text), 500)])
}

// partitionsDir is where kfake keeps a folder for each partition: "<topic>-<partition>".
func partitionsDir(dir string) string { return filepath.Join(dir, "partitions") }
