package bus

import (
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/tlsconf"
)

// Config says where the brokers are and how topics are created.
type Config struct {
	Brokers     []string         `yaml:"brokers"`     // host:port, some of the cluster's brokers
	ClientID    string           `yaml:"client_id"`   // shown in the brokers' logs and quotas
	TLS         tlsconf.Switched `yaml:"tls"`         //
	SASL        SASL             `yaml:"sasl"`        //
	Partitions  int              `yaml:"partitions"`  // of events, matches and alerts when they are created; 1 to 1024
	Replication int              `yaml:"replication"` // of created topics
	Retention   Retention        `yaml:"retention"`   // of created topics that are not compacted
	Session     Session          `yaml:"session"`     //
}

// The SASL mechanisms.
const (
	Plain       = "plain"
	ScramSHA256 = "scram-sha-256"
	ScramSHA512 = "scram-sha-512"
)

// SASL configures the login. An empty mechanism means none.
type SASL struct {
	Mechanism string        `yaml:"mechanism"`
	Username  string        `yaml:"username"`
	Password  config.Secret `yaml:"password"`
}

// Retention bounds a topic's log. Zero is no bound.
type Retention struct {
	Time  config.Duration `yaml:"time"`
	Bytes config.Bytes    `yaml:"bytes"` // of each partition
}

// Session configures the membership in consumer groups.
type Session struct {
	Timeout   config.Duration `yaml:"timeout"`   // a member that died is replaced after this; brokers accept 6s or more by default
	Rebalance config.Duration `yaml:"rebalance"` // members get this long to hand their partitions over
}

// DefaultConfig has one local broker, four partitions, and keeps three days or 1 GiB of each partition.
func DefaultConfig() Config {
	return Config{
		Brokers:     []string{"127.0.0.1:9092"},
		ClientID:    "warder",
		Partitions:  4,
		Replication: 1,
		Retention:   Retention{Time: config.Duration(72 * time.Hour), Bytes: 1 << 30},
		Session:     Session{Timeout: config.Duration(6 * time.Second), Rebalance: config.Duration(30 * time.Second)},
	}
}

// Validate reports every fault as a config.FieldError.
func (c Config) Validate() error {
	var errs []error
	fail := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	if len(c.Brokers) == 0 {
		fail("brokers", "is empty: write at least one host:port")
	}
	for i, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || !validPort(port) {
			fail("brokers["+strconv.Itoa(i)+"]", "%.80q is not host:port", b)
		}
	}
	if c.Partitions < 1 || c.Partitions > 1024 {
		fail("partitions", "is %d: write 1 to 1024", c.Partitions)
	}
	if c.Replication < 1 || c.Replication > 16 {
		fail("replication", "is %d: write 1 to 16, at most the number of brokers", c.Replication)
	}
	if c.Retention.Time < 0 || c.Retention.Time > 0 && c.Retention.Time.Std() < time.Minute {
		fail("retention.time", "is %s: write 1m or more, or 0 for no bound", c.Retention.Time)
	}
	if c.Retention.Bytes < 0 || c.Retention.Bytes > 0 && c.Retention.Bytes < 1<<20 {
		fail("retention.bytes", "is %d: write 1MiB or more, or 0 for no bound", c.Retention.Bytes)
	}
	if t := c.Session.Timeout.Std(); t < time.Second || t > 30*time.Minute {
		fail("session.timeout", "is %s: write 1s to 30m", c.Session.Timeout)
	}
	if t := c.Session.Rebalance.Std(); t < time.Second || t > 30*time.Minute {
		fail("session.rebalance", "is %s: write 1s to 30m", c.Session.Rebalance)
	}
	return errors.Join(append(errs, config.In("tls", c.TLS.Validate()), config.In("sasl", c.SASL.validate()))...)
}

func validPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 1<<16
}

func (s SASL) validate() error {
	switch s.Mechanism {
	case "":
		if s.Username != "" || s.Password.IsSet() {
			return config.Errorf("mechanism", "is not set while username or password is: write %s, %s or %s", Plain, ScramSHA256, ScramSHA512)
		}
		return nil
	case Plain, ScramSHA256, ScramSHA512:
	default:
		return config.Errorf("mechanism", "%.40q is unknown: write %s, %s or %s", s.Mechanism, Plain, ScramSHA256, ScramSHA512)
	}
	var errs []error
	if s.Username == "" {
		errs = append(errs, config.Errorf("username", "is empty"))
	}
	if !s.Password.IsSet() {
		errs = append(errs, config.Errorf("password", "is not set: write {file: PATH} or {env: NAME}"))
	}
	return errors.Join(errs...)
}
