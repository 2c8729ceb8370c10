//go:build integration

package bus_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/tlsconf"
)

// env returns a variable that the integration run must set. .ci/kafka.sh prints them all.
func env(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: start a broker with .ci/kafka.sh and set what it prints", name)
	}
	return v
}

func kafkaConfig(t *testing.T, name string) bus.Config {
	t.Helper()
	cfg := bus.DefaultConfig()
	cfg.Brokers = strings.Split(env(t, name), ",")
	return cfg
}

// TestIntegrationKafka runs the conformance suite against a real Kafka.
func TestIntegrationKafka(t *testing.T) { conformance(t, kafkaConfig(t, "WARDER_KAFKA")) }

// roundTrip says that producing and a whole group membership work with the configuration.
func roundTrip(t *testing.T, cfg bus.Config) {
	t.Helper()
	c, _ := client(t, cfg)
	if err := c.Ping(within(t)); err != nil {
		t.Fatal(err)
	}
	top := topic(t, kafkaConfig(t, "WARDER_KAFKA"), 1)
	produce(t, c, numbered(top, 0, 0, 10)...)
	l := newLog()
	start(t, consume(c, top, l))
	l.awaitCount(t, 10)
}

func TestIntegrationSASL(t *testing.T) {
	for _, mechanism := range []string{bus.Plain, bus.ScramSHA256, bus.ScramSHA512} {
		t.Run(mechanism, func(t *testing.T) {
			cfg := kafkaConfig(t, "WARDER_KAFKA_SASL")
			cfg.SASL = bus.SASL{Mechanism: mechanism, Username: env(t, "WARDER_KAFKA_USER"), Password: config.NewSecret(env(t, "WARDER_KAFKA_PASSWORD"))}
			roundTrip(t, cfg)

			cfg.SASL.Password = config.NewSecret("wrong-password")
			err := pingError(t, cfg)
			wantWords(t, err, cfg.Brokers[0], "login was refused", "sasl.password")
			if strings.Contains(err.Error(), "wrong-password") {
				t.Errorf("the error shows the password: %v", err)
			}
			c, _ := client(t, cfg)
			err = c.Produce(within(t), bus.Record{Topic: bus.TopicDecisions})
			if !errors.Is(err, kafka.SASLAuthenticationFailed) {
				t.Errorf("Produce = %v, want SASLAuthenticationFailed at once", err)
			}
			wantWords(t, err, bus.TopicDecisions)
			if err := c.Consume(within(t), "g", bus.TopicDecisions, nil); !errors.Is(err, kafka.SASLAuthenticationFailed) {
				t.Errorf("Consume = %v, want SASLAuthenticationFailed at once", err)
			}
		})
	}
}

func TestIntegrationTLS(t *testing.T) {
	cfg := kafkaConfig(t, "WARDER_KAFKA_TLS")
	cfg.TLS = trust(env(t, "WARDER_KAFKA_CA"))
	roundTrip(t, cfg)

	tests := []struct {
		name   string
		change func(*bus.Config)
		words  []string
	}{
		{"another authority", func(c *bus.Config) { c.TLS.CAFile = env(t, "WARDER_KAFKA_OTHER_CA") }, []string{"tls.ca_file"}},
		{"another name", func(c *bus.Config) { c.TLS.ServerName = "kafka.example.com" }, []string{"tls.server_name"}},
		{"no TLS to a TLS port", func(c *bus.Config) { c.TLS = tlsconf.Switched{} }, []string{"may expect TLS", "tls.enabled"}},
		{"TLS to a plain port", func(c *bus.Config) { c.Brokers = kafkaConfig(t, "WARDER_KAFKA").Brokers }, []string{"tls.enabled"}},
		{"no login to a SASL port", func(c *bus.Config) { *c = kafkaConfig(t, "WARDER_KAFKA_SASL") }, []string{"sasl"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad := cfg
			tt.change(&bad)
			wantWords(t, pingError(t, bad), append(tt.words, bad.Brokers[0])...)
		})
	}
}

// TestIntegrationTopics makes sure that the fixed topics carry what the design needs.
func TestIntegrationTopics(t *testing.T) {
	cfg := kafkaConfig(t, "WARDER_KAFKA")
	c, _ := client(t, cfg)
	if err := c.EnsureTopics(within(t)); err != nil {
		t.Fatal(err)
	}
	checkTopicSettings(t, cfg)
}

// TestIntegrationCompacted: compaction leaves batches whose last records are gone, and offsets that no record has. Kafka's own
// cleaner makes them here; the embedded broker does not.
func TestIntegrationCompacted(t *testing.T) {
	cfg := kafkaConfig(t, "WARDER_KAFKA")
	c, _ := client(t, cfg)
	entry := func(name, value string) kafka.ConfigEntry {
		return kafka.ConfigEntry{ConfigName: name, ConfigValue: value}
	}
	top := topic(t, cfg, 1, entry("cleanup.policy", "compact"), entry("segment.ms", "50"), entry("min.cleanable.dirty.ratio", "0.0"),
		entry("max.compaction.lag.ms", "1"))
	batch := func(from, to int, value string) []bus.Record {
		var recs []bus.Record
		for key := from; key < to; key++ {
			recs = append(recs, bus.Record{Topic: top, Key: fmt.Append(nil, key), Value: []byte(value)})
		}
		return recs
	}
	produce(t, c, batch(0, 10, "old")...) // offsets 0 to 9, of which compaction leaves 0
	produce(t, c, batch(1, 10, "new")...)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	ctx := within(t)
	left := func() (n, old int) {
		for _, r := range read(t, c, top, 0) {
			n++
			if string(r.Value) == "old" {
				old++
			}
		}
		return n, old
	}
	for n, old := left(); old != 1; n, old = left() {
		select {
		case <-tick.C: // an append rolls the segment, so that the cleaner takes it
			produce(t, c, batch(10, 11, "newest")...)
		case <-ctx.Done():
			t.Fatalf("Kafka did not compact: %d records, %d of them old", n, old)
		}
	}
	for _, from := range []int64{0, 1, 5, 9, 10} {
		l := newLog()
		stop := start(t, func(ctx context.Context) error {
			return c.Consume(ctx, "warder.test."+rand.Text(), top, func(context.Context, int) (bus.Partition, int64, error) {
				return handler{handle: l.handle}, from, nil
			})
		})
		l.await(t, "the newest record", func() bool { return slices.Contains(l.partition(0), "newest") })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(l.partition(0), "old"); got != (from == 0) {
			t.Errorf("from %d: the old record came: %v", from, got)
		}
	}
}
