package config

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that is written "300ms", "5s", "15m", "2h" or "7d".
type Duration time.Duration

// Std returns the value as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the shortest of the forms that ParseDuration reads.
func (d Duration) String() string { return time.Duration(d).String() }

// ParseDuration reads a duration; "d" is 24 hours.
func ParseDuration(s string) (Duration, error) {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		if v, err := strconv.ParseFloat(n, 64); err == nil && v >= 0 && v < 36500 {
			return Duration(v * float64(24*time.Hour)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a duration: write for example 300ms, 5s, 15m, 2h or 7d", s)
	}
	return Duration(d), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDuration(string(b))
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Bytes is a size that is written "512", "64KiB", "10MiB" or "2GiB".
type Bytes int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Bytes) UnmarshalText(b []byte) error {
	s, unit := strings.TrimSpace(string(b)), int64(1)
	for suffix, u := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40} {
		if v, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = strings.TrimSpace(v), u
			break
		}
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v < 0 || v > (1<<62)/unit {
		return fmt.Errorf("%.40q is not a size: write for example 512, 64KiB, 10MiB or 2GiB", b)
	}
	*n = Bytes(v * unit)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (n Bytes) MarshalText() ([]byte, error) {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if int64(n) >= u.size && int64(n)%u.size == 0 {
			return fmt.Appendf(nil, "%d%s", int64(n)/u.size, u.name), nil
		}
	}
	return strconv.AppendInt(nil, int64(n), 10), nil
}

// Secret is a value that is never printed. In YAML it is one of
//
//	password: {file: /run/secrets/smtp}
//	password: {env: SMTP_PASSWORD}
//	password: literal        # accepted, for a first try
//
// File and environment are read when the configuration is loaded; a trailing newline is cut.
type Secret struct{ value string }

const redacted = "<redacted>"

// NewSecret returns a Secret of the value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value, to be handed to what needs it and nowhere else.
func (s Secret) Reveal() string { return s.value }

// IsSet tells whether there is a value.
func (s Secret) IsSet() bool { return s.value != "" }

// String returns "<redacted>".
func (s Secret) String() string { return redacted }

// GoString returns "<redacted>".
func (s Secret) GoString() string { return redacted }

// MarshalText returns "<redacted>".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalYAML implements goccy/go-yaml's InterfaceUnmarshaler.
func (s *Secret) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if unmarshal(&text) == nil {
		s.value = text
		return nil
	}
	var from struct {
		File string `yaml:"file"`
		Env  string `yaml:"env"`
	}
	if err := unmarshal(&from); err != nil {
		return fmt.Errorf("a secret is written {file: PATH} or {env: NAME}")
	}
	switch {
	case from.File != "" && from.Env != "":
		return fmt.Errorf("a secret comes from a file or from the environment, not both")
	case from.File != "":
		b, err := os.ReadFile(from.File)
		if err != nil {
			return fmt.Errorf("secret: %w", err)
		}
		s.value = strings.TrimRight(string(b), "\r\n")
	case from.Env != "":
		v, ok := os.LookupEnv(from.Env)
		if !ok {
			return fmt.Errorf("secret: the environment variable %s is not set", from.Env)
		}
		s.value = v
	}
	if s.value == "" {
		return fmt.Errorf("secret is empty")
	}
	return nil
}
