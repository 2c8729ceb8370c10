package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/warder/warder/internal/config"
)

// dialTimeout bounds a connection attempt, TLS and login included; callTimeout one request to a broker.
const (
	dialTimeout = 5 * time.Second
	callTimeout = 10 * time.Second
)

var errClosed = errors.New("the bus client is closed")

// Client talks to one cluster. It is safe for concurrent use. It holds one connection for each partition it has produced to
// and one for each partition that a Consume, Tail or ReadPartition call reads, no goroutines of its own.
type Client struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	tls     *tls.Config
	sasl    sasl.Mechanism
	dialer  *kafka.Dialer
	layout  layout

	mu     sync.Mutex
	closed bool
	lanes  map[partitionID]*lane
}

type partitionID struct {
	topic     string
	partition int
}

// New makes a client. It does not dial; it reads the TLS files. reg may be nil.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, log: log, metrics: m, lanes: make(map[partitionID]*lane)}
	if c.tls, err = cfg.TLS.Config(); err != nil {
		return nil, config.In("tls", err)
	}
	if c.sasl, err = cfg.SASL.mechanism(); err != nil {
		return nil, err
	}
	c.dialer = c.newDialer((&net.Dialer{}).DialContext)
	c.layout.client = c
	return c, nil
}

// newDialer makes a kafka-go dialer over a way to open sockets.
func (c *Client) newDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) *kafka.Dialer {
	return &kafka.Dialer{ClientID: c.cfg.ClientID, Timeout: dialTimeout, DialFunc: dial, TLS: c.tls, SASLMechanism: c.sasl}
}

// Close closes the producer's connections; Produce fails from then on. Consume, Tail and ReadPartition end with their context.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	lanes := c.lanes
	c.lanes = nil
	c.mu.Unlock()
	for _, l := range lanes {
		l.close()
	}
	return nil
}

func (s SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case Plain:
		return plain.Mechanism{Username: s.Username, Password: s.Password.Reveal()}, nil
	case ScramSHA256:
		return scram.Mechanism(scram.SHA256, s.Username, s.Password.Reveal())
	case ScramSHA512:
		return scram.Mechanism(scram.SHA512, s.Username, s.Password.Reveal())
	}
	return nil, nil
}

// Ping connects to the brokers until one answers a metadata request. The error names every broker tried, why it failed and
// what to check.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.layout.fetch(ctx, nil)
	return err
}

// admin calls fn with an administrative client of one broker after the other, until it succeeds. The client knows the
// metadata of the named topics only. Connections are closed before admin returns.
func (c *Client) admin(ctx context.Context, topics []string, fn func(context.Context, *kafka.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var errs several
	for _, i := range rand.Perm(len(c.cfg.Brokers)) {
		broker := c.cfg.Brokers[i]
		err := c.adminOn(ctx, broker, topics, fn)
		if err == nil {
			return nil
		}
		errs = append(errs, c.explain(broker, err))
		if ctx.Err() != nil {
			break
		}
	}
	return errs
}

func (c *Client) adminOn(ctx context.Context, broker string, topics []string, fn func(context.Context, *kafka.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// The transport's goroutines end with its context and its idle connections; a long metadata TTL keeps it from asking
	// again while it lives, which is for one call. Without MetadataTopics it would ask for every topic of the cluster, and
	// show a topic that we may not see as one that does not exist.
	transport := &kafka.Transport{Dial: (&net.Dialer{}).DialContext, DialTimeout: dialTimeout, MetadataTTL: time.Minute,
		MetadataTopics: append([]string{}, topics...), ClientID: c.cfg.ClientID, TLS: c.tls, SASL: c.sasl, Context: ctx}
	defer transport.CloseIdleConnections()
	return fn(ctx, &kafka.Client{Addr: kafka.TCP(broker), Transport: transport})
}
