// Package outbound holds what sinks need to reach a destination safely: TLS options, an HTTP client with bounds, the meaning of
// an answer's status, and errors without secrets.
package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/warder/warder/internal/config"
)

// TLS says how a destination's certificate is checked and which one is shown to it. The zero value uses the system's
// authorities and shows none.
type TLS struct {
	CAFile     string `yaml:"ca_file"`     // PEM; replaces the system's authorities
	CertFile   string `yaml:"cert_file"`   // PEM; shown to the destination
	KeyFile    string `yaml:"key_file"`    // PEM; belongs to CertFile
	ServerName string `yaml:"server_name"` // expected in the certificate, when it is not the address's host
	// InsecureSkipVerify accepts any certificate. For tests only.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
}

// Validate reports what is wrong as config.FieldErrors. Files are read by Config.
func (t *TLS) Validate() error {
	var errs []error
	if (t.CertFile == "") != (t.KeyFile == "") {
		errs = append(errs, config.Errorf("cert_file", "cert_file and key_file go together: set both or none"))
	}
	if t.InsecureSkipVerify && t.CAFile != "" {
		errs = append(errs, config.Errorf("insecure_skip_verify", "contradicts ca_file: remove one of them"))
	}
	return errors.Join(errs...)
}

// Config reads the files and returns a configuration for clients: TLS 1.2 at least.
func (t *TLS) Config() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls: ca_file: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls: ca_file %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("tls: cert_file and key_file: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}
