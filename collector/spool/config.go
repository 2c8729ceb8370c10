package spool

import (
	"time"

	"github.com/warder/warder/internal/config"
)

// Config bounds a spool.
type Config struct {
	// Dir holds the segments, the cursor and the identity. It belongs to one process at a time.
	Dir string `yaml:"dir"`
	// SegmentSize is the size at which a new segment file begins.
	SegmentSize config.Bytes `yaml:"segment_size"`
	// MaxSize bounds everything not yet acknowledged, on disk and in memory. When it is reached the newest event is dropped.
	MaxSize config.Bytes `yaml:"max_size"`
	// MaxMemory bounds what is held in memory while the disk fails or hangs.
	MaxMemory config.Bytes `yaml:"max_memory"`
	// Stall is how long one Append waits at most for a hanging disk.
	Stall config.Duration `yaml:"stall"`
}

// DefaultConfig returns 16 MiB segments, 1 GiB in all, 16 MiB of memory and a bound of 250 ms. Dir is left empty.
func DefaultConfig() Config {
	return Config{
		SegmentSize: 16 << 20,
		MaxSize:     1 << 30,
		MaxMemory:   16 << 20,
		Stall:       config.Duration(250 * time.Millisecond),
	}
}

// Validate checks the bounds; its errors are joined [config.FieldError] values.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return config.Errorf("dir", "is missing: name a folder that survives restarts")
	case c.SegmentSize < maxFrame || c.SegmentSize > 1<<30:
		return config.Errorf("segment_size", "%d is out of range: want 1MiB to 1GiB", c.SegmentSize)
	case c.MaxSize < 2*c.SegmentSize:
		return config.Errorf("max_size", "%d is less than two segments of %d", c.MaxSize, c.SegmentSize)
	case c.MaxMemory < maxFrame || c.MaxMemory > c.MaxSize:
		return config.Errorf("max_memory", "%d is out of range: want 1MiB to max_size", c.MaxMemory)
	case c.Stall <= 0:
		return config.Errorf("stall", "must be above zero")
	}
	return nil
}
