package bus

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/tlsconf"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := errors.Join(DefaultConfig().Validate(), DefaultEmbeddedConfig().Validate()); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		keys   []string
	}{
		{"no brokers", func(c *Config) { c.Brokers = nil }, []string{"brokers"}},
		{"bad brokers", func(c *Config) { c.Brokers = []string{"a:1", "b", "c:x", ":9092", "[::1]:70000"} },
			[]string{"brokers[1]", "brokers[2]", "brokers[3]", "brokers[4]"}},
		{"counts", func(c *Config) { c.Partitions, c.Replication = 0, 99 }, []string{"partitions", "replication"}},
		{"retention", func(c *Config) { c.Retention = Retention{Time: 1, Bytes: 1} }, []string{"retention.time", "retention.bytes"}},
		{"no retention", func(c *Config) { c.Retention = Retention{} }, nil},
		{"session", func(c *Config) { c.Session = Session{} }, []string{"session.timeout", "session.rebalance"}},
		{"TLS off but set", func(c *Config) { c.TLS = tlsconf.Switched{Client: tlsconf.Client{ServerName: "kafka"}} }, []string{"tls.enabled"}},
		{"TLS files", func(c *Config) {
			c.TLS = tlsconf.Switched{Enabled: true, Client: tlsconf.Client{CAFile: "no such file", CertFile: "no such file"}}
		}, []string{"tls.cert_file", "tls.ca_file", "tls.cert_file"}},
		{"unknown login", func(c *Config) { c.SASL = SASL{Mechanism: "kerberos"} }, []string{"sasl.mechanism"}},
		{"login without a mechanism", func(c *Config) { c.SASL = SASL{Username: "u"} }, []string{"sasl.mechanism"}},
		{"incomplete login", func(c *Config) { c.SASL = SASL{Mechanism: Plain} }, []string{"sasl.username", "sasl.password"}},
		{"login", func(c *Config) { c.SASL = SASL{Mechanism: ScramSHA512, Username: "u", Password: config.NewSecret("p")} }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := DefaultConfig()
			tt.change(&cfg)
			err := cfg.Validate()
			if d := cmp.Diff(tt.keys, keys(err)); d != "" {
				t.Errorf("%v: %s", err, d)
			}
			if _, newErr := New(cfg, nil, nil); (newErr == nil) != (err == nil) {
				t.Errorf("New: %v", newErr)
			}
		})
	}
}

// keys lists the keys of a Validate error.
func keys(err error) []string {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []string
		for _, e := range j.Unwrap() {
			out = append(out, keys(e)...)
		}
		return out
	}
	var f *config.FieldError
	if !errors.As(err, &f) {
		return []string{"not a field error: " + err.Error()}
	}
	return []string{f.Key}
}

func TestYAML(t *testing.T) {
	cfg := DefaultConfig()
	err := config.Decode("test.yaml", []byte(`
brokers: [k1:9092, k2:9092]
sasl: {mechanism: scram-sha-256, username: warder, password: s3cret}
partitions: 12
retention: {time: 7d, bytes: 10GiB}
`), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(cfg.Brokers, []string{"k1:9092", "k2:9092"}) || cfg.Partitions != 12 || cfg.Retention.Bytes != 10<<30 ||
		cfg.SASL.Password.Reveal() != "s3cret" || cfg.Replication != 1 {
		t.Errorf("%+v", cfg)
	}
}

func TestBadPEM(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.TLS = tlsconf.Switched{Enabled: true, Client: tlsconf.Client{CAFile: file}}
	if _, err := New(cfg, nil, nil); err == nil || !strings.Contains(err.Error(), "tls.ca_file") {
		t.Errorf("New = %v, want an error about tls.ca_file", err)
	}
}

func TestDeadLetterIsBounded(t *testing.T) {
	rec := Record{Topic: TopicEvents, Partition: 1, Offset: 2, Key: make([]byte, 1<<20), Value: make([]byte, 2<<20),
		Headers: []Header{{Key: "kept", Value: []byte("v")}, {Key: "long", Value: make([]byte, 1<<20)}}}
	got := deadLetter(rec, "store", errors.New(strings.Repeat("é", maxReason)))
	if got.size() > MaxRecord {
		t.Errorf("size = %d, limit %d", got.size(), MaxRecord)
	}
	var names []string
	for _, h := range got.Headers {
		names = append(names, h.Key)
		if len(h.Value) > maxReason {
			t.Errorf("header %s has %d bytes", h.Key, len(h.Value))
		}
	}
	want := []string{"kept", HeaderStage, HeaderReason, HeaderSourceTopic, HeaderSourcePartition, HeaderSourceOffset, HeaderTruncated}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	if n := len(rec.Headers); n != 2 {
		t.Errorf("the original's headers changed: %d", n)
	}
	if r := deadLetter(Record{}, "s", nil); len(r.Headers) != 5 {
		t.Errorf("headers of an empty record: %v", r.Headers)
	}
}

// TestPartitionOf compares with what Java's Utils.murmur2 gives for the same keys.
func TestPartitionOf(t *testing.T) {
	// toPositive(murmur2(key)) % 1000, from the Java client's UtilsTest: murmur2("21") = -973932308, "foobar" = -790332482,
	// "a-little-bit-long-string" = -985981536, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8" = -58897971.
	for key, hash := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971} {
		if got, want := partitionOf([]byte(key), 1000), int(uint32(hash)&0x7fffffff)%1000; got != want {
			t.Errorf("partitionOf(%s) = %d, want %d", key, got, want)
		}
	}
}
