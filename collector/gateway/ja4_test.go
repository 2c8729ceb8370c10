package gateway

import (
	"crypto/tls"
	"regexp"
	"testing"
)

// chrome is the client hello of the example in FoxIO's JA4.md.
func chrome() *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		CipherSuites: []uint16{0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035},
		Extensions: []uint16{0xcaca, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a,
			0x0015, 0x2a2a},
		SignatureSchemes: []tls.SignatureScheme{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601},
		SupportedProtos:  []string{"h2", "http/1.1"}, SupportedVersions: []uint16{0x5a5a, tls.VersionTLS13, tls.VersionTLS12},
	}
}

func TestJA4(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*tls.ClientHelloInfo)
		want   string
	}{
		"chrome":       {func(*tls.ClientHelloInfo) {}, "t13d1516h2_8daaf6152771_e5627efa2ab1"},
		"nothing":      {func(h *tls.ClientHelloInfo) { *h = tls.ClientHelloInfo{} }, "t00i000000_000000000000_000000000000"},
		"odd protocol": {func(h *tls.ClientHelloInfo) { h.SupportedProtos = []string{"\xab\xcd"} }, "t13d1516ad_8daaf6152771_e5627efa2ab1"},
	} {
		h := chrome()
		tt.change(h)
		if got := ja4(h); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestFingerprintOfARealClient(t *testing.T) {
	a := newAuthority(t)
	b := startTLS(t, a, echo(t).URL, nil)
	_, _, first := b.get("/")
	if !regexp.MustCompile(`^t13i[0-9]{4}(h1|h2|00)_[0-9a-f]{12}_[0-9a-f]{12}$`).MatchString(first.TLS.Fingerprint) {
		t.Errorf("fingerprint %q", first.TLS.Fingerprint)
	}
	b.client.CloseIdleConnections()
	if _, _, again := b.get("/"); again.TLS.Fingerprint != first.TLS.Fingerprint {
		t.Errorf("another connection of the client: %q, before %q", again.TLS.Fingerprint, first.TLS.Fingerprint)
	}
}
