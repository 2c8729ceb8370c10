package waf

import (
	"errors"
	"fmt"
	"time"

	"github.com/warder/warder/internal/config"
)

// Config says how requests are judged, and what that may cost.
type Config struct {
	// Enabled turns the firewall on.
	Enabled bool `yaml:"enabled"`
	// Paranoia is the Core Rule Set's paranoia level, 1 (few false alarms) to 4.
	Paranoia int `yaml:"paranoia"`
	// Exclude lists ids of the Core Rule Set's rules to leave out.
	Exclude []int `yaml:"exclude"`
	// Sample is the share of requests that is judged, above 0 and up to 1. Which ones follows from their ids: the same ones each time.
	Sample float64 `yaml:"sample"`
	// MaxSize is how long a request's line and headers may be to be judged. The time grows with the length: 4 KiB made for the
	// purpose cost about 50 ms. A query of more than 256 parameters is not judged either.
	MaxSize config.Bytes `yaml:"max_size"`
	// Budget is how long a batch of events may be held up on its way to the bus. Requests whose turn has not come by then go on
	// without a judgement.
	Budget config.Duration `yaml:"budget"`
	// Workers is how many requests are judged at a time; 0 is half of the cores, at least one.
	Workers int `yaml:"workers"`
}

// maxExclude bounds the rules that can be left out.
const maxExclude = 1000

// DefaultConfig returns the defaults: off; paranoia level 1, every request up to 4 KiB, 100 ms a batch.
func DefaultConfig() Config {
	return Config{Paranoia: 1, Sample: 1, MaxSize: 4 << 10, Budget: config.Duration(100 * time.Millisecond)}
}

// Validate checks the configuration; its errors are joined [config.FieldError] values.
func (c Config) Validate() error {
	var errs []error
	bad := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, config.Errorf(key, format, args...))
		}
	}
	bad(c.Paranoia >= 1 && c.Paranoia <= 4, "paranoia", "%d is not a paranoia level: want 1 to 4", c.Paranoia)
	bad(c.Sample > 0 && c.Sample <= 1, "sample", "%v is not a share: want above 0 and up to 1; to judge nothing set enabled: false", c.Sample)
	bad(c.MaxSize >= 1<<10 && c.MaxSize <= 128<<10, "max_size", "%d is out of range: want 1KiB to 128KiB", c.MaxSize)
	bad(c.Budget >= config.Duration(time.Millisecond) && c.Budget <= config.Duration(10*time.Second), "budget", "%s is out of range: want 1ms to 10s", c.Budget)
	bad(c.Workers >= 0 && c.Workers <= 256, "workers", "%d is out of range: want 0 to 256", c.Workers)
	bad(len(c.Exclude) <= maxExclude, "exclude", "%d rules, limit is %d", len(c.Exclude), maxExclude)
	for i, id := range c.Exclude {
		bad(isDetection(id), fmt.Sprintf("exclude[%d]", i), "%d is no id of a detecting rule of the Core Rule Set, such as 942100", id)
	}
	return errors.Join(errs...)
}

// isDetection tells whether the id is in the range of the Core Rule Set's rules that look at requests and responses; the others set
// up, sum up and report.
func isDetection(id int) bool {
	return id >= 911000 && id < 949000 || id >= 950000 && id < 959000
}
