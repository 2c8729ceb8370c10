// Package tlsconf is the client's side of TLS in every section of the configuration: the same keys, checked and read in one
// place. The package is a leaf.
package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/warder/warder/internal/config"
)

// Client says how a server's certificate is checked and which one is shown to it. The zero value trusts the system's
// authorities and shows none.
type Client struct {
	CAFile     string `yaml:"ca_file"`     // PEM; replaces the system's authorities
	CertFile   string `yaml:"cert_file"`   // PEM; shown to the server
	KeyFile    string `yaml:"key_file"`    // PEM; belongs to CertFile
	ServerName string `yaml:"server_name"` // expected in the server's certificate; empty: the host that is dialled
}

// Validate tells, as config.FieldErrors, which keys contradict each other and which files are not there.
func (c Client) Validate() error {
	var errs []error
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, config.Errorf("cert_file", "cert_file and key_file come together: set both or none"))
	}
	for _, f := range []struct{ key, path string }{{"ca_file", c.CAFile}, {"cert_file", c.CertFile}, {"key_file", c.KeyFile}} {
		if f.path == "" {
			continue
		}
		if st, err := os.Stat(f.path); err != nil {
			errs = append(errs, config.Errorf(f.key, "%v", err))
		} else if st.IsDir() {
			errs = append(errs, config.Errorf(f.key, "%s is a folder: name a PEM file", f.path))
		}
	}
	return errors.Join(errs...)
}

// Config reads the files and returns a client's configuration: TLS 1.2 at least. Its errors are config.FieldErrors.
func (c Client) Config() (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CAFile != "" {
		pool, err := Pool(c.CAFile)
		if err != nil {
			return nil, config.Errorf("ca_file", "%v", err)
		}
		out.RootCAs = pool
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, config.Errorf("cert_file", "%v", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// Pool reads the certificates of authorities from a PEM file.
func Pool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}

// Switched is a Client for protocols that do without TLS unless it is turned on.
type Switched struct {
	Enabled bool `yaml:"enabled"`
	Client  `yaml:",inline"`
}

// Validate is Client's; keys that are set without effect are a mistake too.
func (s Switched) Validate() error {
	if !s.Enabled && s.Client != (Client{}) {
		return config.Errorf("enabled", "is false while other keys of tls are set: write enabled: true or remove them")
	}
	return s.Client.Validate()
}

// Config is Client's; nil when TLS is off.
func (s Switched) Config() (*tls.Config, error) {
	if !s.Enabled {
		return nil, nil
	}
	return s.Client.Config()
}
