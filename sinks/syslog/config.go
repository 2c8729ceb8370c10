package syslog

import (
	"errors"
	"net"
	"regexp"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/outbound"
	"github.com/warder/warder/sinks"
)

// Transport is how messages travel.
type Transport string

// The transports.
const (
	UDP Transport = "udp" // RFC 5426: a datagram a message; what is lost is not noticed
	TCP Transport = "tcp" // RFC 6587 with octet counting
	TLS Transport = "tls" // RFC 5425
)

// Format is what a message holds.
type Format string

// The formats.
const (
	CEF  Format = "cef"  // ArcSight Common Event Format, version 0
	OCSF Format = "ocsf" // Open Cybersecurity Schema Framework 1.8, JSON
)

// Config of one syslog destination.
type Config struct {
	sinks.Common `yaml:",inline"`
	Address      string    `yaml:"address"` // host:port
	Transport    Transport `yaml:"transport"`
	Format       Format    `yaml:"format"`
	// Facility is the syslog facility's name: local0 to local7, auth, authpriv, audit, daemon, user.
	Facility string `yaml:"facility"`
	// Hostname stands in the header; the machine's name by default.
	Hostname string `yaml:"hostname"`
	// EnterpriseID is the private enterprise number in the structured data's name, "warder@<number>".
	EnterpriseID uint32 `yaml:"enterprise_id"`
	// MaxMessage bounds a message with its header, in bytes; longer texts in it are shortened until it fits. 0 is 2048 over UDP
	// and 8192 over TCP and TLS, which is what receivers take by default.
	MaxMessage config.Bytes `yaml:"max_message"`
	TLS        outbound.TLS `yaml:"tls"`
}

// Limits of MaxMessage, in bytes, and its defaults.
const (
	minMessage    = 1024
	minOCSF       = 2048 // below, an alert's JSON cannot be kept whole
	maxMessage    = 64 << 10
	maxDatagram   = 65507 // IPv4
	defaultUDP    = 2048
	defaultStream = 8192
)

// exampleEnterprise is the number that RFC 5612 sets aside for documentation: Warder has none of its own.
const exampleEnterprise = 32473

// DefaultConfig returns the defaults: CEF over TLS, facility local0.
func DefaultConfig() Config {
	c := Config{Common: sinks.DefaultCommon(), Transport: TLS, Format: CEF, Facility: "local0", EnterpriseID: exampleEnterprise}
	c.MaxAlerts = sinks.MaxBatch
	return c
}

// UnmarshalYAML decodes over the defaults, so that an entry of a list has them too.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

var hostForm = regexp.MustCompile(`^[!-~]{1,255}$`)

// Validate reports what is wrong as config.FieldErrors.
func (c *Config) Validate() error {
	errs := []error{c.Check(), config.In("tls", c.TLS.Validate())}
	bad := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	if host, port, err := net.SplitHostPort(c.Address); err != nil || host == "" || port == "" {
		bad("address", "%.80q is not host:port: write for example siem.example.com:6514", c.Address)
	}
	switch c.Transport {
	case UDP, TCP, TLS:
	default:
		bad("transport", "%.20q is not one of udp, tcp, tls", c.Transport)
	}
	if c.Transport != TLS && c.TLS != (outbound.TLS{}) {
		bad("tls", "is set but transport is %s: set transport to tls", c.Transport)
	}
	if c.Format != CEF && c.Format != OCSF {
		bad("format", "%.20q is not one of cef, ocsf", c.Format)
	}
	if facility(c.Facility) < 0 {
		bad("facility", "%.20q is not one of user, daemon, auth, authpriv, audit, local0 to local7", c.Facility)
	}
	if c.Hostname != "" && !hostForm.MatchString(c.Hostname) {
		bad("hostname", "%.80q has a space or a character beyond ASCII", c.Hostname)
	}
	least := config.Bytes(minMessage)
	if c.Format == OCSF {
		least = minOCSF
	}
	if c.MaxMessage != 0 && (c.MaxMessage < least || c.MaxMessage > maxMessage) {
		bad("max_message", "want %d to %d bytes for %s, have %d", least, maxMessage, c.Format, c.MaxMessage)
	}
	return errors.Join(errs...)
}

// limit returns the message limit in bytes.
func (c *Config) limit() int {
	switch {
	case c.MaxMessage == 0 && c.Transport == UDP:
		return defaultUDP
	case c.MaxMessage == 0:
		return defaultStream
	case c.Transport == UDP:
		return min(int(c.MaxMessage), maxDatagram)
	}
	return int(c.MaxMessage)
}

// facility returns the number of RFC 5424, section 6.2.1, -1 for a name that it does not know.
func facility(name string) int {
	switch name {
	case "user":
		return 1
	case "daemon":
		return 3
	case "auth":
		return 4
	case "authpriv":
		return 10
	case "audit":
		return 13
	}
	if len(name) == 6 && name[:5] == "local" && name[5] >= '0' && name[5] <= '7' {
		return 16 + int(name[5]-'0')
	}
	return -1
}
