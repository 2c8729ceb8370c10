package bus_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/bus/bustest"
	"github.com/warder/warder/internal/closedport"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/tlsconf"
)

func consume(c *bus.Client, topic string, l *log) func(context.Context) error {
	return func(ctx context.Context) error {
		return c.Consume(ctx, "warder.test."+rand.Text(), topic, each(l.handle))
	}
}

func pingError(t *testing.T, cfg bus.Config) error {
	t.Helper()
	c, _ := client(t, cfg)
	err := c.Ping(within(t))
	if err == nil {
		t.Fatal("Ping succeeded")
	}
	return err
}

func wantWords(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q lacks %q", err, w)
		}
	}
}

func TestPingUnreachable(t *testing.T) {
	cfg := bus.DefaultConfig()
	first, _ := closedport.Reserve(t)
	second, _ := closedport.Reserve(t)
	cfg.Brokers = []string{first, second}
	wantWords(t, pingError(t, cfg), cfg.Brokers[0], cfg.Brokers[1], "connection refused", "nothing listens there")

	cfg.Brokers = []string{"kafka.invalid:9092"}
	wantWords(t, pingError(t, cfg), cfg.Brokers[0], "check the name")
}

// TestPingSilent: something accepts connections and says nothing.
func TestPingSilent(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	cfg := bus.DefaultConfig()
	cfg.Brokers = []string{ln.Addr().String()}
	c, _ := client(t, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	err = c.Ping(ctx)
	if err == nil {
		t.Fatal("Ping succeeded")
	}
	wantWords(t, err, cfg.Brokers[0], "no answer in time")
}

// secure is a broker with TLS and a login, and the files of its authority and of one that it does not know.
type secure struct {
	addr, ca, otherCA string
}

func secureBroker(t *testing.T, encrypt, login bool) secure {
	t.Helper()
	dir := t.TempDir()
	ca, pair := certificates(t, dir, "ca.pem")
	other, _ := certificates(t, dir, "other.pem")
	opts := []kfake.Opt{kfake.NumBrokers(1)}
	if encrypt {
		opts = append(opts, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	}
	if login {
		opts = append(opts, kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "right"), kfake.Superuser("SCRAM-SHA-256", "u", "right"),
			kfake.Superuser("SCRAM-SHA-512", "u", "right"))
	}
	k, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return secure{k.ListenAddrs()[0], ca, other}
}

// certificates writes a self-signed authority and returns a pair that it signed for 127.0.0.1.
func certificates(t *testing.T, dir, name string) (file string, pair tls.Certificate) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	must(err)
	file = filepath.Join(dir, name)
	must(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600))
	return file, tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}
}

// TestLogins goes the whole way through an encrypted listener that wants a login.
func TestLogins(t *testing.T) {
	s := secureBroker(t, true, true)
	for _, mechanism := range []string{bus.Plain, bus.ScramSHA256, bus.ScramSHA512} {
		t.Run(mechanism, func(t *testing.T) {
			cfg := bus.DefaultConfig()
			cfg.Brokers = []string{s.addr}
			cfg.TLS = trust(s.ca)
			cfg.SASL = bus.SASL{Mechanism: mechanism, Username: "u", Password: config.NewSecret("right")}
			c, _ := client(t, cfg)
			if err := c.EnsureTopics(within(t)); err != nil {
				t.Fatal(err)
			}
			produce(t, c, numbered(bus.TopicDecisions, 0, 0, 1)...)
			l := newLog()
			start(t, consume(c, bus.TopicDecisions, l))
			l.awaitCount(t, 1)

			cfg.SASL.Password = config.NewSecret("wrong-password")
			err := pingError(t, cfg)
			wantWords(t, err, s.addr, "check sasl") // this broker just hangs up; Kafka says what is wrong
			if strings.Contains(err.Error(), "wrong-password") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestPingTLS(t *testing.T) {
	s, plainText := secureBroker(t, true, false), secureBroker(t, false, false)
	good := trust(s.ca)
	tests := []struct {
		name  string
		addr  string
		tls   tlsconf.Switched
		words []string
	}{
		{"wrong authority", s.addr, trust(s.otherCA), []string{"unknown authority", "set tls.ca_file"}},
		{"wrong name", s.addr, tlsconf.Switched{Enabled: true, Client: tlsconf.Client{CAFile: s.ca, ServerName: "kafka.example.com"}}, []string{"kafka.example.com", "tls.server_name"}},
		{"plain to TLS", s.addr, tlsconf.Switched{}, []string{"tls.enabled"}},
		{"TLS to plain", plainText.addr, good, []string{"TLS"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := bus.DefaultConfig()
			cfg.Brokers, cfg.TLS = []string{tt.addr}, tt.tls
			wantWords(t, pingError(t, cfg), append(tt.words, tt.addr)...)
		})
	}
	cfg := bus.DefaultConfig()
	cfg.Brokers, cfg.TLS = []string{s.addr}, good
	c, _ := client(t, cfg)
	if err := c.Ping(within(t)); err != nil {
		t.Error(err)
	}
}

// checkTopicSettings compares the cleanup policies with the design.
func checkTopicSettings(t *testing.T, cfg bus.Config) {
	t.Helper()
	wanted := map[string]string{bus.TopicEvents: "delete", bus.TopicMatches: "delete", bus.TopicAlerts: "delete", bus.TopicDeadLetters: "delete", bus.TopicTelemetry: "delete",
		bus.TopicDecisions: "compact", bus.TopicCheckpoints: "compact", bus.TopicDeliveries: "compact"}
	var ask []kafka.DescribeConfigRequestResource
	for name := range wanted {
		ask = append(ask, kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: name, ConfigNames: []string{"cleanup.policy"}})
	}
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	res, err := (&kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Transport: transport}).DescribeConfigs(within(t), &kafka.DescribeConfigsRequest{Resources: ask})
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, r := range res.Resources {
		for _, e := range r.ConfigEntries {
			got[r.ResourceName] = e.ConfigValue
		}
	}
	if d := cmp.Diff(wanted, got); d != "" {
		t.Error(d)
	}
}

func TestTopicSettings(t *testing.T) {
	b := bustest.Broker(t, t.TempDir(), 0)
	bustest.Client(t, b)
	checkTopicSettings(t, b.ClientConfig(bus.DefaultConfig()))
}

// TestTopicsDisagree: related topics with different partition counts would separate state from its input.
func TestTopicsDisagree(t *testing.T) {
	tests := []struct {
		name  string
		seed  map[string]int32
		words []string       // of the error
		want  map[string]int // partitions, without an error
	}{
		{"missing relatives follow", map[string]int32{bus.TopicEvents: 7, bus.TopicDeliveries: 3}, nil,
			map[string]int{bus.TopicCheckpoints: 7, bus.TopicMatches: 7, bus.TopicAlerts: 3, bus.TopicDecisions: 1}},
		{"conflict", map[string]int32{bus.TopicEvents: 7, bus.TopicCheckpoints: 4, bus.TopicMatches: 7},
			[]string{"warder.events, warder.matches: 7", "warder.checkpoints: 4", "partitions"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := []kfake.Opt{kfake.NumBrokers(1)}
			for name, n := range tt.seed {
				opts = append(opts, kfake.SeedTopics(n, name))
			}
			k, err := kfake.NewCluster(opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			cfg := bus.DefaultConfig()
			cfg.Brokers = k.ListenAddrs()
			c, _ := client(t, cfg)
			err = c.EnsureTopics(within(t))
			if tt.words != nil {
				if err == nil {
					t.Fatal("EnsureTopics succeeded")
				}
				wantWords(t, err, tt.words...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for name, n := range tt.want {
				if got, err := c.Partitions(within(t), name); err != nil || got != n {
					t.Errorf("Partitions(%s) = %d, %v, want %d", name, got, err, n)
				}
			}
		})
	}
}

// TestNotAuthorised: missing rights are an error at once that names the topic, not something to wait out.
func TestNotAuthorised(t *testing.T) {
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "pw"),
		kfake.User("PLAIN", "u", "pw", kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: bus.TopicEvents,
			Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribe, Allow: true}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	as := func(user string) *bus.Client {
		cfg := bus.DefaultConfig()
		cfg.Brokers = k.ListenAddrs()
		cfg.SASL = bus.SASL{Mechanism: bus.Plain, Username: user, Password: config.NewSecret("pw")}
		c, _ := client(t, cfg)
		return c
	}
	if err := as("root").EnsureTopics(within(t)); err != nil {
		t.Fatal(err)
	}
	c := as("u")
	for _, top := range []string{bus.TopicEvents, bus.TopicAlerts} { // may only be described; may not even be seen
		err := c.Produce(within(t), bus.Record{Topic: top})
		if !errors.Is(err, kafka.TopicAuthorizationFailed) {
			t.Fatalf("Produce to %s: %v, want TopicAuthorizationFailed", top, err)
		}
		wantWords(t, err, top)
	}
	if err := c.Consume(within(t), "g", bus.TopicAlerts, nil); !errors.Is(err, kafka.TopicAuthorizationFailed) {
		t.Errorf("Consume: %v, want TopicAuthorizationFailed", err)
	}
	if err := c.Consume(within(t), "g", bus.TopicEvents, nil); !errors.Is(err, kafka.GroupAuthorizationFailed) {
		t.Errorf("Consume: %v, want GroupAuthorizationFailed", err)
	}
}

// trust is TLS with this authority.
func trust(ca string) tlsconf.Switched {
	return tlsconf.Switched{Enabled: true, Client: tlsconf.Client{CAFile: ca}}
}
