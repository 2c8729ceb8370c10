package tlsconf

import (
	"crypto/tls"

	"github.com/warder/warder/internal/config"
)

// Server is a listener's side of TLS. The zero value is no TLS.
type Server struct {
	CertFile string `yaml:"cert_file"` // PEM; shown to clients
	KeyFile  string `yaml:"key_file"`  // PEM; belongs to CertFile
	// ClientCAFile is a PEM file of authorities: who shows no certificate of theirs is turned away.
	ClientCAFile string `yaml:"client_ca_file"`
}

// Validate tells, as config.FieldErrors, which keys contradict each other and which files are not there.
func (s Server) Validate() error {
	if s.CertFile == "" && s.ClientCAFile != "" {
		return config.Errorf("client_ca_file", "has no effect without cert_file and key_file: set them or remove it")
	}
	return Client{CertFile: s.CertFile, KeyFile: s.KeyFile, CAFile: s.ClientCAFile}.Validate()
}

// Config reads the files and returns a listener's configuration: TLS 1.2 at least, nil when TLS is off. Its errors are
// config.FieldErrors.
func (s Server) Config() (*tls.Config, error) {
	if s.CertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
	if err != nil {
		return nil, config.Errorf("cert_file", "%v", err)
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if s.ClientCAFile != "" {
		if out.ClientCAs, err = Pool(s.ClientCAFile); err != nil {
			return nil, config.Errorf("client_ca_file", "%v", err)
		}
		out.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return out, nil
}
