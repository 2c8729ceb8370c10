package stage

import (
	"context"
	"fmt"
	"time"

	"github.com/warder/warder/internal/bus"
)

const (
	// saveRate bounds what checkpoints write: a large state is saved less often than the interval says.
	saveRate = 4 << 20 // bytes a second, before compression
	// saveTimeout ends the writing of a checkpoint that the brokers do not take; the next one is tried later.
	saveTimeout = 30 * time.Second
)

// saver takes a partition's checkpoints. The state is copied between two batches; compressing and producing it happens beside
// detection, one checkpoint at a time.
type saver struct {
	p       *partition
	slots   slots
	records int       // since the last checkpoint was taken
	taken   int       // that one covers
	last    time.Time // when that was
	size    int       // its bytes
	writing chan error
	cancel  context.CancelFunc
}

// due tells whether it is time for a checkpoint.
func (s *saver) due() bool {
	cfg, since := s.p.cfg.Checkpoint, time.Since(s.last)
	if s.records == 0 || since < time.Duration(s.size)*time.Second/saveRate {
		return false
	}
	return s.records >= cfg.Records || since >= cfg.Interval.Std()
}

// maybe takes a checkpoint when it is time and the one before is written.
func (s *saver) maybe() {
	if s.writing != nil {
		select {
		case err := <-s.writing:
			s.finish(err)
		default:
			return
		}
	}
	if !s.due() {
		return
	}
	state, offset := s.take(), s.p.next
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	s.cancel, s.writing = cancel, make(chan error, 1)
	go func() { s.writing <- s.write(ctx, state, offset) }()
}

// take copies the partition's state.
func (s *saver) take() []byte {
	start := time.Now()
	state := s.p.shard.Snapshot(s.p.marks.append(make([]byte, 0, s.size+s.size/8+1024)))
	s.last, s.taken, s.records, s.size = start, s.records, 0, len(state)
	s.p.metrics.saveTime.Observe(time.Since(start).Seconds())
	s.p.metrics.saveBytes.Observe(float64(len(state)))
	return state
}

// write produces a checkpoint. The slots belong to it while it runs.
func (s *saver) write(ctx context.Context, state []byte, offset int64) error {
	recs, err := s.slots.records(state, offset)
	if err != nil {
		return err
	}
	if err := s.p.client.Produce(ctx, recs...); err != nil {
		return fmt.Errorf("save detector state to kafka topic %s: %w", bus.TopicCheckpoints, err)
	}
	s.slots.written(recs)
	return nil
}

func (s *saver) finish(err error) {
	s.cancel()
	s.writing = nil
	s.count(err)
	if err != nil {
		s.p.log.Error("detector checkpoint failed, trying again later", "topic", s.p.topic, "partition", s.p.no, "err", err)
	}
}

func (s *saver) count(err error) {
	result := "ok"
	if err != nil {
		result = "failed"
		s.records += s.taken
	}
	s.p.metrics.saves.WithLabelValues(result).Inc()
}

// wait returns when no checkpoint is being written; it gives one up when ctx ends.
func (s *saver) wait(ctx context.Context) {
	if s.writing == nil {
		return
	}
	stop := context.AfterFunc(ctx, s.cancel)
	defer stop()
	s.finish(<-s.writing)
}

// now takes a checkpoint and returns when it is written.
func (s *saver) now(ctx context.Context) error {
	s.wait(ctx)
	state, offset := s.take(), s.p.next
	err := s.write(ctx, state, offset)
	s.count(err)
	return err
}
