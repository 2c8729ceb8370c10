// Package outbound holds what sinks and gateways need to reach a destination safely: TLS options, an HTTP client with bounds, the meaning of
// an answer's status, and errors without secrets.
package outbound

import (
	"crypto/tls"
	"errors"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/tlsconf"
)

// TLS says how a destination's certificate is checked and which one is shown to it.
type TLS struct {
	tlsconf.Client `yaml:",inline"`
	// InsecureSkipVerify accepts any certificate. For tests only.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
}

// Validate reports what is wrong as config.FieldErrors.
func (t *TLS) Validate() error {
	err := t.Client.Validate()
	if t.InsecureSkipVerify && t.CAFile != "" {
		err = errors.Join(err, config.Errorf("insecure_skip_verify", "contradicts ca_file: remove one of them"))
	}
	return err
}

// Config reads the files and returns a configuration for clients: TLS 1.2 at least. Its errors are config.FieldErrors below "tls".
func (t *TLS) Config() (*tls.Config, error) {
	out, err := t.Client.Config()
	if err != nil {
		return nil, config.In("tls", err)
	}
	out.InsecureSkipVerify = t.InsecureSkipVerify
	return out, nil
}
