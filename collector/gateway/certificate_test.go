package gateway

import (
	"crypto/x509"
	"log/slog"
	"os"
	"testing"
	"time"
)

func TestCertificateIsReadAgain(t *testing.T) {
	a := newAuthority(t)
	_, first, certFile, keyFile := a.issue("gateway", &x509.Certificate{})
	c, err := newCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.now = func() time.Time { return now }
	serial := func() string {
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.String()
	}
	_, second, _, _ := a.issue("gateway", &x509.Certificate{})
	if got := serial(); got != first.SerialNumber.String() {
		t.Errorf("looked before its time: %s", got)
	}
	now = now.Add(certificateEvery)
	if got := serial(); got != second.SerialNumber.String() {
		t.Errorf("serial %s, want that of the renewed one", got)
	}
	if err := os.WriteFile(certFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(certificateEvery)
	if got := serial(); got != second.SerialNumber.String() {
		t.Errorf("a broken file replaced the certificate by %s", got)
	}
}
