package gateway

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/tlsconf"
)

// authority issues certificates for 127.0.0.1.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key, a.cert, a.file, _ = a.issue("ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes a certificate and its key to files.
func (a *authority) issue(name string, tmpl *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate, string, string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	tmpl.SerialNumber, tmpl.NotBefore, tmpl.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	parent, signer := tmpl, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	write := func(ext, kind string, b []byte) string {
		file := filepath.Join(a.dir, name+ext)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			a.t.Fatal(err)
		}
		return file
	}
	return key, cert, write(".crt", "CERTIFICATE", der), write(".key", "PRIVATE KEY", pkcs8)
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// startTLS runs a gateway with a certificate of the authority.
func startTLS(t testing.TB, a *authority, upstream string, change func(*Config)) *bench {
	t.Helper()
	_, _, cert, key := a.issue("gateway", &x509.Certificate{})
	b := start(t, upstream, func(c *Config) {
		c.TLS.CertFile, c.TLS.KeyFile = cert, key
		if change != nil {
			change(c)
		}
	})
	b.client = newClient(t, &tls.Config{RootCAs: a.pool()})
	return b
}

func TestHTTP2OverTLS(t *testing.T) {
	a := newAuthority(t)
	b := startTLS(t, a, shapes(t).URL, nil)
	b.client.Transport.(*http.Transport).Protocols.SetHTTP1(false)
	b.client.Transport.(*http.Transport).Protocols.SetHTTP2(true)
	for path, size := range map[string]int64{"/length": 10000, "/chunked": 15, "/204": 0, "/trailer": 4} {
		res, text, e := b.get(path)
		if res.ProtoMajor != 2 || int64(len(text)) != size || e.Response.Size != size {
			t.Errorf("%s: %s, %d bytes, event %+v", path, res.Proto, len(text), e.Response)
		}
		if path == "/trailer" && res.Trailer.Get("X-Sum") != "42" {
			t.Errorf("trailer %v", res.Trailer)
		}
		want := event.TLS{Version: "1.3", Fingerprint: e.TLS.Fingerprint}
		if e.Request.Protocol != "HTTP/2.0" || e.Request.Scheme != "https" || !cmp.Equal(e.TLS, want) {
			t.Errorf("%s: %+v %+v", path, e.Request, e.TLS)
		}
	}
	b.set.Apply(active5m("d1", nil))
	if res, _, e := b.get("/length"); res.StatusCode != 403 || e.Enforced.By != "d1" {
		t.Errorf("blocked: %d", res.StatusCode)
	}
}

func TestClientCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	b := startTLS(t, a, echo(t).URL, func(c *Config) {
		c.TLS.ClientCAFile = a.file
		c.Principal = []Credential{{Type: typeCertificate}}
	})
	pair := func(from *authority) []tls.Certificate {
		_, _, cert, key := from.issue("client", &x509.Certificate{
			Subject:     pkix.Name{CommonName: "robot-7", Organization: []string{"acme"}, OrganizationalUnit: []string{"ops"}},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		c, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{c}
	}
	b.client = newClient(t, &tls.Config{RootCAs: a.pool(), Certificates: pair(a)})
	_, _, e := b.get("/")
	want := event.Principal{ID: "robot-7", Type: "certificate", Tenant: "acme", Roles: []string{"ops"}}
	if diff := cmp.Diff(want, e.Principal); diff != "" || e.Auth.Outcome != "success" {
		t.Errorf("%s %+v", diff, e.Auth)
	}
	b.set.Apply(active5m("p", func(d *decision.Decision) { d.Scope, d.Value = decision.Principal, "robot-7" }))
	if res, _, _ := b.get("/"); res.StatusCode != 403 {
		t.Errorf("blocked principal: %d", res.StatusCode)
	}
	for name, certs := range map[string][]tls.Certificate{"none": nil, "stranger": pair(stranger)} {
		c := newClient(t, &tls.Config{RootCAs: a.pool(), Certificates: certs})
		if res, err := c.Get(b.url); err == nil {
			res.Body.Close()
			t.Errorf("%s: served", name)
		}
	}
	eventually(t, "failed handshakes are counted", func() bool {
		return b.metric("warder_gateway_refused_total", "reason=tls_handshake") == 2
	})
}

func TestParserRefusalsOverTLS(t *testing.T) {
	a := newAuthority(t)
	b := startTLS(t, a, echo(t).URL, func(c *Config) { c.MaxHeaderBytes = 8 << 10 })
	for text, code := range map[string]int{
		"nonsense\r\n\r\n": 400, "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("a", 16<<10) + "\r\n\r\n": 431,
	} {
		c, err := tls.Dial("tcp", b.gw.Addr().String(), &tls.Config{RootCAs: a.pool()})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(c, text)
		answer, _ := io.ReadAll(c)
		c.Close()
		if e := b.event(); e.Response.Code != code || e.Request.Scheme != "https" {
			t.Errorf("event has %d, want %d; answer %.60q", e.Response.Code, code, answer)
		}
	}
}

func TestSlowHeadersAreEnded(t *testing.T) {
	b := start(t, echo(t).URL, func(c *Config) { c.Timeouts.ReadHeader = config.Duration(50 * time.Millisecond) })
	if answer := b.raw("GET / HTTP/1.1\r\nHost: h\r\nX-Slow"); strings.Contains(answer, "200 OK") {
		t.Errorf("answer %q", answer)
	}
	eventually(t, "it is counted", func() bool { return b.metric("warder_gateway_refused_total") == 1 })
}

func TestUpstreamOverTLS(t *testing.T) {
	a := newAuthority(t)
	_, _, certFile, keyFile := a.issue("upstream", &x509.Certificate{})
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	up.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	up.EnableHTTP2 = true
	up.StartTLS()
	defer up.Close()
	b := start(t, up.URL, func(c *Config) { c.Routes[0].UpstreamTLS.CAFile = a.file })
	if res, text, _ := b.get("/"); res.StatusCode != 200 || text != "HTTP/2.0" {
		t.Errorf("%d %q", res.StatusCode, text)
	}
	wrong := start(t, up.URL, func(c *Config) {
		c.Routes[0].UpstreamTLS = tlsconf.Client{CAFile: a.file, ServerName: "other.example"}
	})
	if res, _, e := wrong.get("/"); res.StatusCode != 502 || e.Response.Code != 502 {
		t.Errorf("wrong name: %d", res.StatusCode)
	}
}

func TestH2COnBothSides(t *testing.T) {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// As gRPC does: body, then trailers.
		w.Header().Set("Trailer", "Grpc-Status")
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(bytes.ToUpper(body))
		w.Header().Set("Grpc-Status", "0")
	}))
	up.Config.Protocols = p
	up.Start()
	defer up.Close()
	b := start(t, strings.Replace(up.URL, "http:", "h2c:", 1), func(c *Config) { c.H2C = true })
	b.client.Transport.(*http.Transport).Protocols = p
	res, text, e := b.do("POST", "/svc/Method", http.Header{"Te": {"trailers"}, "Content-Type": {"application/grpc"}}, strings.NewReader("ping"))
	if res.ProtoMajor != 2 || text != "PING" || res.Trailer.Get("Grpc-Status") != "0" || e.Request.Size != 4 {
		t.Errorf("%s %q %v, event %+v", res.Proto, text, res.Trailer, e.Request)
	}
}
