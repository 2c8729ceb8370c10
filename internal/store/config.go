// Package store is everything that Warder says to ClickHouse: schema migrations, idempotent batches, and a narrow set of reads.
// It speaks clickhouse-go and cannot tell the embedded engine from a server.
package store

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/privacy"
	"github.com/warder/warder/internal/tlsconf"
)

// The protocols.
const (
	Native = "native"
	HTTP   = "http"
)

// Config says which ClickHouse to use. Without addresses the embedded engine is used.
type Config struct {
	Addrs     []string         `yaml:"addrs"`     // host:port; the first that answers is used
	Protocol  string           `yaml:"protocol"`  // native or http
	Database  string           `yaml:"database"`  // made when it is not there
	Username  string           `yaml:"username"`  //
	Password  config.Secret    `yaml:"password"`  //
	TLS       tlsconf.Switched `yaml:"tls"`       //
	Retention Retention        `yaml:"retention"` //
	Limits    Limits           `yaml:"limits"`    //
	Cluster   Cluster          `yaml:"cluster"`   // the servers over which the tables are spread
	Privacy   privacy.Config   `yaml:"privacy"`   // what the tables hold of people
}

// Retention is how long rows are kept, counted from the time of what they tell of. Zero is for ever.
type Retention struct {
	Events     config.Duration `yaml:"events"`     // each request
	Minutes    config.Duration `yaml:"minutes"`    // rollups by the minute
	Hours      config.Duration `yaml:"hours"`      // rollups by the hour and the day
	Alerts     config.Duration `yaml:"alerts"`     // and what people made of them
	Decisions  config.Duration `yaml:"decisions"`  //
	Audit      config.Duration `yaml:"audit"`      //
	Deliveries config.Duration `yaml:"deliveries"` //
	Metrics    config.Duration `yaml:"metrics"`    //
	Baselines  config.Duration `yaml:"baselines"`  //
}

// retained is a table, the column that its rows' age is told from, and the setting that bounds it.
type retained struct {
	table, column, key string
	keep               config.Duration
}

// tables lists what is kept how long.
func (r Retention) tables() []retained {
	return []retained{
		{"events", "time", "events", r.Events},
		{"traffic_minute", "time", "minutes", r.Minutes},
		{"origin_minute", "time", "minutes", r.Minutes},
		{"llm_minute", "time", "minutes", r.Minutes},
		{"traffic_hour", "time", "hours", r.Hours},
		{"entity_hour", "time", "hours", r.Hours},
		{"endpoints", "day", "hours", r.Hours},
		{"alerts", "time", "alerts", r.Alerts},
		{"triage", "time", "alerts", r.Alerts},
		{"decisions", "updated", "decisions", r.Decisions},
		{"audit", "time", "audit", r.Audit},
		{"ledger", "time", "audit", r.Audit},
		{"deliveries", "time", "deliveries", r.Deliveries},
		{"metrics", "time", "metrics", r.Metrics},
		{"baselines", "time", "baselines", r.Baselines},
	}
}

// Cluster names the ClickHouse cluster over which the tables are spread and replicated (docs/cluster.md). Without a name they are on one server.
type Cluster struct {
	Name   string `yaml:"name"`   // as in the servers' remote_servers
	Quorum int    `yaml:"quorum"` // replicas of a shard that must have an insert before it counts as done; 0: most of them
}

// maxQuorum bounds the replicas that are waited for.
const maxQuorum = 100

// validate reports faults of the cluster; embedded says that there is no server of one's own.
func (c Cluster) validate(embedded bool) error {
	var errs []error
	switch {
	case c.Name == "" && c.Quorum != 0:
		errs = append(errs, config.Errorf("quorum", "is for a cluster: set name, too"))
	case c.Name != "" && embedded:
		errs = append(errs, config.Errorf("name", "needs servers of your own, not the embedded engine: name some of the cluster's in store.addrs"))
	case c.Name != "" && (!regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`).MatchString(c.Name) || len(c.Name) > maxName):
		errs = append(errs, config.Errorf("name", "%.80q cannot be used: write the cluster's name of letters, digits, _ and - as in the servers' remote_servers", c.Name))
	}
	if c.Quorum < 0 || c.Quorum > maxQuorum {
		errs = append(errs, config.Errorf("quorum", "is %d: write how many replicas of a shard must have an insert, up to %d, or 0 for most of them", c.Quorum, maxQuorum))
	}
	return errors.Join(errs...)
}

// Limits bound each single read.
type Limits struct {
	Time   config.Duration `yaml:"time"`
	Memory config.Bytes    `yaml:"memory"`
	Rows   int64           `yaml:"rows"` // rows that may be looked at
}

const day = 24 * time.Hour

// DefaultConfig has no address, keeps events for 30 days, rollups by the minute for 90 and what they tell by the hour for 400.
func DefaultConfig() Config {
	return Config{
		Protocol: Native,
		Database: "warder",
		Username: "default",
		Retention: Retention{
			Events: config.Duration(30 * day), Minutes: config.Duration(90 * day), Hours: config.Duration(400 * day),
			Alerts: config.Duration(400 * day), Decisions: config.Duration(400 * day), Audit: config.Duration(400 * day),
			Deliveries: config.Duration(90 * day), Metrics: config.Duration(30 * day), Baselines: config.Duration(90 * day),
		},
		Limits: Limits{Time: config.Duration(30 * time.Second), Memory: 1 << 30, Rows: 1_000_000_000},
	}
}

// maxName bounds the database's name, in bytes.
const maxName = 63

// Validate reports every fault as a config.FieldError.
func (c Config) Validate() error {
	var errs []error
	fail := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	for i, a := range c.Addrs {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			fail("addrs["+strconv.Itoa(i)+"]", "%.80q is not host:port", a)
		}
	}
	if c.Protocol != Native && c.Protocol != HTTP {
		fail("protocol", "%.20q is unknown: write native (usually port 9000, with TLS 9440) or http (8123, with TLS 8443)", c.Protocol)
	}
	if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(c.Database) || len(c.Database) > maxName || c.Database == "default" || c.Database == "system" {
		fail("database", "%.80q cannot be used: write a name of letters, digits and _ that is not default or system", c.Database)
	}
	seen := ""
	for _, r := range c.Retention.tables() {
		if r.key != seen && (r.keep < 0 || r.keep > 0 && r.keep.Std() < time.Hour) {
			fail("retention."+r.key, "is %s: write 1h or more, or 0 for ever", r.keep)
		}
		seen = r.key
	}
	if c.Limits.Time.Std() < time.Second {
		fail("limits.time", "is %s: write 1s or more", c.Limits.Time)
	}
	if c.Limits.Memory < 16<<20 {
		fail("limits.memory", "is %d: write 16MiB or more", c.Limits.Memory)
	}
	if c.Limits.Rows < 1000 {
		fail("limits.rows", "is %d: write 1000 or more", c.Limits.Rows)
	}
	return errors.Join(append(errs, config.In("tls", c.TLS.Validate()), config.In("privacy", c.Privacy.Validate()),
		config.In("cluster", c.Cluster.validate(len(c.Addrs) == 0)))...)
}

// Bounds of the connection pool and of waiting for the network.
const (
	dialTimeout = 5 * time.Second
	readTimeout = 2 * time.Minute
	maxOpen     = 16
	maxIdle     = 8
)

// options are clickhouse-go's. database may be "".
func (c Config) options(database string) (*clickhouse.Options, error) {
	tlsConfig, err := c.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("store: %w", config.In("tls", err))
	}
	o := &clickhouse.Options{
		Addr:        c.Addrs,
		Protocol:    clickhouse.Native,
		TLS:         tlsConfig,
		Auth:        clickhouse.Auth{Database: database, Username: c.Username, Password: c.Password.Reveal()},
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
		DialTimeout: dialTimeout, ReadTimeout: readTimeout,
		MaxOpenConns: maxOpen, MaxIdleConns: maxIdle,
		ConnOpenStrategy: clickhouse.ConnOpenInOrder,
	}
	if c.Protocol == HTTP {
		o.Protocol = clickhouse.HTTP
		o.TransportFunc = countSummaries
	}
	if c.loopback() { // there, packing takes longer than sending
		o.Compression = nil
	}
	return o, nil
}

// loopback tells whether every address is this machine's own.
func (c Config) loopback() bool {
	return !slices.ContainsFunc(c.Addrs, func(a string) bool {
		at, err := netip.ParseAddrPort(a)
		return err != nil || !at.Addr().IsLoopback()
	})
}
