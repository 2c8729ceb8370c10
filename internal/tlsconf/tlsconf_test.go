package tlsconf

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/internal/config"
)

// pair writes a certificate and its key.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})))
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestConfig(t *testing.T) {
	cert, key := pair(t)
	c, err := Switched{Enabled: true, Client: Client{CAFile: cert, CertFile: cert, KeyFile: key, ServerName: "x"}}.Config()
	if err != nil || c.MinVersion != tls.VersionTLS12 || c.ServerName != "x" || c.RootCAs == nil || len(c.Certificates) != 1 || c.InsecureSkipVerify {
		t.Errorf("%v %+v", err, c)
	}
	if c, err := (Switched{}).Config(); c != nil || err != nil {
		t.Errorf("TLS is off, but: %v %v", c, err)
	}
	if c, err := (Client{}).Config(); err != nil || c.RootCAs != nil || c.Certificates != nil {
		t.Errorf("the defaults: %v %+v", err, c)
	}
}

func TestFaults(t *testing.T) {
	cert, _ := pair(t)
	junk := write(t, "junk.pem", "junk")
	for _, tt := range []struct {
		name     string
		c        Switched
		validate string // "" is valid, but cannot be read
		read     string
	}{
		{"off but set", Switched{Client: Client{ServerName: "x"}}, "enabled:", ""},
		{"half a pair", Switched{Enabled: true, Client: Client{CertFile: cert}}, "cert_file: cert_file and key_file come together", "cert_file:"},
		{"no such file", Switched{Enabled: true, Client: Client{CAFile: junk + "x"}}, "ca_file:", "ca_file:"},
		{"a folder", Switched{Enabled: true, Client: Client{CAFile: filepath.Dir(junk)}}, "is a folder", "ca_file:"},
		{"no certificate", Switched{Enabled: true, Client: Client{CAFile: junk}}, "", "ca_file: " + junk + " holds no PEM certificate"},
		{"no pair", Switched{Enabled: true, Client: Client{CertFile: junk, KeyFile: junk}}, "", "cert_file:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.c.Validate(); (err == nil) != (tt.validate == "") || err != nil && !strings.Contains(err.Error(), tt.validate) {
				t.Errorf("Validate: %v, want %q", err, tt.validate)
			}
			if _, err := tt.c.Config(); (err == nil) != (tt.read == "") || err != nil && !strings.Contains(err.Error(), tt.read) {
				t.Errorf("Config: %v, want %q", err, tt.read)
			}
		})
	}
}

// Inline fields keep the keys flat, and strict.
func TestYAML(t *testing.T) {
	var c struct {
		TLS Switched `yaml:"tls"`
	}
	if err := config.Decode("f", []byte("tls: {enabled: true, ca_file: a, cert_file: b, key_file: c, server_name: d}"), &c); err != nil {
		t.Fatal(err)
	}
	if want := (Switched{Enabled: true, Client: Client{"a", "b", "c", "d"}}); c.TLS != want {
		t.Errorf("%+v", c.TLS)
	}
	if err := config.Decode("f", []byte("tls: {ca: a}"), &c); err == nil || !strings.Contains(err.Error(), "ca") {
		t.Errorf("unknown key: %v", err)
	}
}

func TestServer(t *testing.T) {
	cert, key := pair(t)
	c, err := Server{CertFile: cert, KeyFile: key, ClientCAFile: cert}.Config()
	if err != nil || c.MinVersion != tls.VersionTLS12 || len(c.Certificates) != 1 || c.ClientCAs == nil || c.ClientAuth != tls.RequireAndVerifyClientCert {
		t.Errorf("%v %+v", err, c)
	}
	if c, err := (Server{}).Config(); c != nil || err != nil {
		t.Errorf("the zero value is %v, %v", c, err)
	}
	for name, tt := range map[string]struct {
		s    Server
		want string
	}{
		"no key":         {Server{CertFile: cert}, "cert_file:"},
		"authority only": {Server{ClientCAFile: cert}, "client_ca_file:"},
		"no such file":   {Server{CertFile: "nowhere", KeyFile: key}, "cert_file:"},
	} {
		if err := tt.s.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (Server{CertFile: key, KeyFile: key}).Config(); err == nil || !strings.Contains(err.Error(), "cert_file:") {
		t.Error(err)
	}
	if _, err := (Server{CertFile: cert, KeyFile: key, ClientCAFile: key}).Config(); err == nil || !strings.Contains(err.Error(), "client_ca_file:") {
		t.Error(err)
	}
}
