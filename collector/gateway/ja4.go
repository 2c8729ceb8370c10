package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// ja4 returns the JA4 fingerprint of a TLS client hello over TCP: what FoxIO's "JA4: TLS Client Fingerprinting"
// (github.com/FoxIO-LLC/ja4, technical_details/JA4.md, BSD 3-Clause) describes. It looks like "t13d1516h2_8daaf6152771_b186095e22b6".
func ja4(h *tls.ClientHelloInfo) string {
	ciphers, extensions := hexes(h.CipherSuites), hexes(h.Extensions)
	sni := "i"
	if slices.Contains(h.Extensions, extServerName) {
		sni = "d"
	}
	head := fmt.Sprintf("t%s%s%02d%02d%s", ja4Version(h.SupportedVersions), sni, min(len(ciphers), 99), min(len(extensions), 99), ja4ALPN(h.SupportedProtos))
	slices.Sort(ciphers)
	kept := slices.DeleteFunc(extensions, func(x string) bool { return x == "0000" || x == "0010" }) // server name and ALPN say where, not who
	slices.Sort(kept)
	text := strings.Join(kept, ",")
	if algorithms := hexes(h.SignatureSchemes); text != "" && len(algorithms) > 0 {
		text += "_" + strings.Join(algorithms, ",")
	}
	return head + "_" + ja4Hash(strings.Join(ciphers, ",")) + "_" + ja4Hash(text)
}

const extServerName = 0

// hexes writes each value with four digits, without the ones that clients send to keep servers tolerant (GREASE, RFC 8701).
func hexes[T ~uint16](values []T) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		if v&0x0f0f != 0x0a0a || byte(v) != byte(v>>8) {
			out = append(out, fmt.Sprintf("%04x", uint16(v)))
		}
	}
	return out
}

// ja4Version names the newest version that the client offers.
func ja4Version(offered []uint16) string {
	var newest uint16
	for _, v := range offered {
		if v <= tls.VersionTLS13 { // above are GREASE and drafts
			newest = max(newest, v)
		}
	}
	names := map[uint16]string{tls.VersionTLS13: "13", tls.VersionTLS12: "12", tls.VersionTLS11: "11", tls.VersionTLS10: "10", 0x0300: "s3"}
	return cmp.Or(names[newest], "00")
}

// ja4ALPN is the first and the last character of the first protocol that the client offers; of its hexadecimal form when one of them
// is not a letter or digit; 00 without any.
func ja4ALPN(protocols []string) string {
	if len(protocols) == 0 || protocols[0] == "" {
		return "00"
	}
	p := protocols[0]
	if !alphanumeric(p[0]) || !alphanumeric(p[len(p)-1]) {
		p = hex.EncodeToString([]byte(p))
	}
	return p[:1] + p[len(p)-1:]
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func ja4Hash(s string) string {
	if s == "" {
		return "000000000000"
	}
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:6])
}

// fingerprint is the server's hook for a client hello: it notes the client's fingerprint at its connection, once.
func fingerprint(h *tls.ClientHelloInfo) (*tls.Config, error) {
	if c, ok := h.Conn.(*conn); ok {
		s := ja4(h)
		c.fingerprint.Store(&s)
	}
	return nil, nil
}

// fingerprintOf returns the fingerprint of the request's connection, "" without TLS.
func fingerprintOf(ctx context.Context) string {
	if c := connOf(ctx); c != nil {
		if s := c.fingerprint.Load(); s != nil {
			return *s
		}
	}
	return ""
}
