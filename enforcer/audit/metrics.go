package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/bus"
)

type metrics struct {
	entries *prometheus.CounterVec
	orphans prometheus.Counter
	lag     *prometheus.GaugeVec
}

// newMetrics registers with reg unless it is nil.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "warder_audit_entries_total",
			Help: "Entries of the ledger that count, read since the start, by chain."}, []string{"chain"}),
		orphans: prometheus.NewCounter(prometheus.CounterOpts{Name: "warder_audit_orphans_total",
			Help: "Records of the audit topic that do not count, read since the start: repeats, and entries of a writer that did not know the head."}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "warder_audit_lag_records",
			Help: "Records that the ledger does not tell of yet, by topic; asked for every 10 seconds. It grows while the ledger is stopped."},
			[]string{"topic"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.entries, m.orphans, m.lag} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// watch asks for the lag until ctx ends.
func (s *Stage) watch(ctx context.Context) {
	t := time.NewTicker(lagEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.askLag(ctx)
		}
	}
}

// askLag asks for the lag. While the broker does not answer, the lag stays as it was, and time goes on.
func (s *Stage) askLag(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	var sum int64
	for topic, group := range map[string]string{bus.TopicDecisions: GroupDecisions, bus.TopicAcks: GroupAcks} {
		n, err := s.bus.Lag(ctx, group, topic)
		if err != nil {
			s.log.Debug("cannot ask how far the ledger is behind", "topic", topic, "error", err)
			return
		}
		s.m.lag.WithLabelValues(topic).Set(float64(n))
		sum += n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case sum == 0:
		s.behind = time.Time{}
	case s.behind.IsZero(), sum < s.lag:
		s.behind = s.now()
	}
	s.lag = sum
}

// Ready tells why the ledger is not in line, for /readyz: it was not read yet, or whoever owns it makes no progress.
func (s *Stage) Ready(context.Context) error {
	select {
	case <-s.ready:
	default:
		return errors.New("the decision ledger is being read")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.behind.IsZero() && s.now().Sub(s.behind) > stuckAfter {
		return fmt.Errorf("the decision ledger is %d records behind and stands still since %s: see the log of the enforcer that writes it",
			s.lag, s.behind.UTC().Format(time.RFC3339))
	}
	return nil
}
