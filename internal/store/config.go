// Package store is everything that Warder says to ClickHouse: schema migrations, idempotent batches, and a narrow set of reads.
// It speaks clickhouse-go and cannot tell the embedded engine from a server.
package store

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/warder/warder/internal/config"
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
}

// Retention is how long rows are kept, counted from the time of what they tell of. Zero is for ever.
type Retention struct {
	Events    config.Duration `yaml:"events"`
	Alerts    config.Duration `yaml:"alerts"`
	Decisions config.Duration `yaml:"decisions"`
	Audit     config.Duration `yaml:"audit"`
}

// Limits bound each single read.
type Limits struct {
	Time   config.Duration `yaml:"time"`
	Memory config.Bytes    `yaml:"memory"`
	Rows   int64           `yaml:"rows"` // rows that may be looked at
}

const day = 24 * time.Hour

// DefaultConfig has no address, and keeps events for 30 days and the rest for 400.
func DefaultConfig() Config {
	return Config{
		Protocol: Native,
		Database: "warder",
		Username: "default",
		Retention: Retention{
			Events: config.Duration(30 * day), Alerts: config.Duration(400 * day),
			Decisions: config.Duration(400 * day), Audit: config.Duration(400 * day),
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
	for _, r := range []struct {
		key string
		d   config.Duration
	}{{"events", c.Retention.Events}, {"alerts", c.Retention.Alerts}, {"decisions", c.Retention.Decisions}, {"audit", c.Retention.Audit}} {
		if r.d < 0 || r.d > 0 && r.d.Std() < time.Hour {
			fail("retention."+r.key, "is %s: write 1h or more, or 0 for ever", r.d)
		}
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
	return errors.Join(append(errs, config.In("tls", c.TLS.Validate()))...)
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
	return o, nil
}
