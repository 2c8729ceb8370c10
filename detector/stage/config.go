// Package stage runs the detector on the bus: partitions of warder.events and warder.matches in, alerts out, the state of each
// partition in warder.checkpoints.
package stage

import (
	"errors"
	"time"

	"github.com/warder/warder/detector"
	"github.com/warder/warder/internal/config"
)

// Config is the detector's part of the configuration.
type Config struct {
	// Memory bounds each partition's shard.
	Memory     detector.Config `yaml:"memory"`
	Checkpoint Checkpoint      `yaml:"checkpoint"`
	// MaxMarks bounds the taps per partition whose repeats are recognised.
	MaxMarks int `yaml:"max_marks"`
}

// Checkpoint says when a partition's state is saved: when one of the two is reached. What came after it is processed again
// after a crash.
type Checkpoint struct {
	Interval config.Duration `yaml:"interval"`
	Records  int             `yaml:"records"`
}

// DefaultConfig saves every 5 s or 50,000 records.
func DefaultConfig() Config {
	return Config{
		Memory:     detector.DefaultConfig(),
		Checkpoint: Checkpoint{Interval: config.Duration(5 * time.Second), Records: 50_000},
		MaxMarks:   16_384,
	}
}

// Validate implements config.Validator.
func (c Config) Validate() error {
	errs := []error{config.In("memory", c.Memory.Validate())}
	if c.Checkpoint.Interval < config.Duration(10*time.Millisecond) {
		errs = append(errs, config.Errorf("checkpoint.interval", "is %s, must be at least 10ms", c.Checkpoint.Interval))
	}
	if c.Checkpoint.Records < 1 {
		errs = append(errs, config.Errorf("checkpoint.records", "is %d, must be at least 1", c.Checkpoint.Records))
	}
	if c.MaxMarks < 1 {
		errs = append(errs, config.Errorf("max_marks", "is %d, must be at least 1", c.MaxMarks))
	}
	return errors.Join(errs...)
}
