package sinks

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
)

// Config is what all sinks share. In the configuration file it stands beside the lists of sinks.
type Config struct {
	// Silences hold alerts back for a time.
	Silences []Silence `yaml:"silences"`
	// Backoff is the pause between attempts: it starts at Min, doubles, and stays at Max. Half of each pause is random.
	Backoff Backoff `yaml:"backoff"`
	// Remember bounds how many delivered ids are kept, per sink and partition, to drop repeats.
	Remember Remember `yaml:"remember"`
}

// Backoff bounds the pause between two attempts.
type Backoff struct {
	Min config.Duration `yaml:"min"`
	Max config.Duration `yaml:"max"`
}

// Remember bounds the memory of what was delivered.
type Remember struct {
	Alerts int             `yaml:"alerts"`
	Age    config.Duration `yaml:"age"`
}

// DefaultConfig returns the defaults: no silences, pauses from 500 ms to 1 min, 20,000 ids for 7 days.
func DefaultConfig() Config {
	return Config{
		Backoff:  Backoff{Min: config.Duration(500 * time.Millisecond), Max: config.Duration(time.Minute)},
		Remember: Remember{Alerts: 20_000, Age: config.Duration(7 * 24 * time.Hour)},
	}
}

// Validate reports what is wrong as config.FieldErrors.
func (c *Config) Validate() error {
	var errs []error
	if c.Backoff.Min <= 0 || c.Backoff.Max < c.Backoff.Min {
		errs = append(errs, config.Errorf("backoff", "min must be above zero and not above max, have %s and %s", c.Backoff.Min, c.Backoff.Max))
	}
	if c.Remember.Alerts < 1 || c.Remember.Alerts > 1_000_000 {
		errs = append(errs, config.Errorf("remember.alerts", "want 1 to 1000000, have %d", c.Remember.Alerts))
	}
	if c.Remember.Age <= 0 {
		errs = append(errs, config.Errorf("remember.age", "must be above zero"))
	}
	for i := range c.Silences {
		errs = append(errs, config.In(fmt.Sprintf("silences[%d]", i), c.Silences[i].Validate()))
	}
	return errors.Join(errs...)
}

// Common is the part of a sink's configuration that the dispatcher reads. Each sink's Config embeds it inline.
type Common struct {
	// Name is unique among the sinks and stays the same for ever: it names the consumer group and the delivery records.
	Name string `yaml:"name"`
	// MinSeverity is the lowest severity that is sent.
	MinSeverity alert.Severity `yaml:"min_severity"`
	// Match lets only the alerts through that it matches, Exclude none that it matches.
	Match   Matcher `yaml:"match"`
	Exclude Matcher `yaml:"exclude"`
	// Shadow also sends alerts of rules in shadow mode, which otherwise are only stored.
	Shadow bool `yaml:"shadow"`
	// GroupWait is how long the first alert waits for others to share its message; 0 sends what one fetch gave.
	GroupWait config.Duration `yaml:"group_wait"`
	// MaxAlerts is the most alerts in one message.
	MaxAlerts int `yaml:"max_alerts"`
	// MaxAge drops alerts that stood on the topic for longer, such as those from before the sink was configured; 0 is no limit.
	MaxAge config.Duration `yaml:"max_age"`
	// Timeout bounds one attempt.
	Timeout config.Duration `yaml:"timeout"`
	// GiveUpAfter bounds all attempts for one alert; then it goes to the dead letters.
	GiveUpAfter config.Duration `yaml:"give_up_after"`
	// Events also sends every access event. Only a syslog sink can.
	Events bool `yaml:"events"`
}

// DefaultCommon returns what all sinks start from: every severity, 50 alerts a message, 10 s an attempt, giving up after 1 h.
func DefaultCommon() Common {
	return Common{
		MinSeverity: alert.Info,
		MaxAlerts:   50,
		Timeout:     config.Duration(10 * time.Second),
		GiveUpAfter: config.Duration(time.Hour),
	}
}

// MaxBatch is the highest MaxAlerts.
const MaxBatch = 500

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Check reports what is wrong as config.FieldErrors. (It is not called Validate, so that a sink's Config, which embeds Common,
// must have a Validate of its own.)
func (c *Common) Check() error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	if !nameForm.MatchString(c.Name) {
		bad("name", "%.70q is not a name: want 1 to 63 of a-z, 0-9, - and _, unique among the sinks", c.Name)
	}
	if c.MinSeverity.Rank() < 0 {
		bad("min_severity", "%.20q is not one of info, low, medium, high, critical", c.MinSeverity)
	}
	if c.GroupWait < 0 || c.GroupWait > config.Duration(10*time.Minute) {
		bad("group_wait", "want 0s to 10m, have %s", c.GroupWait)
	}
	if c.MaxAlerts < 1 || c.MaxAlerts > MaxBatch {
		bad("max_alerts", "want 1 to %d, have %d", MaxBatch, c.MaxAlerts)
	}
	if c.MaxAge < 0 {
		bad("max_age", "must not be negative")
	}
	if c.Timeout < config.Duration(100*time.Millisecond) || c.Timeout > config.Duration(5*time.Minute) {
		bad("timeout", "want 100ms to 5m, have %s", c.Timeout)
	}
	if c.GiveUpAfter < 0 {
		bad("give_up_after", "must not be negative")
	}
	errs = append(errs, config.In("match", c.Match.Validate()), config.In("exclude", c.Exclude.Validate()))
	return errors.Join(errs...)
}
