package crowdsec

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// tokenLife is how long a login lasts.
const tokenLife = time.Hour

// guard knows who may ask.
type guard struct {
	keys  map[string][sha256.Size]byte // by the bouncer's name
	certs bool                         // the listener verified the client's certificate
	seal  []byte                       // of tokens; they end with the process
}

func newGuard(cfg Config) *guard {
	g := &guard{keys: map[string][sha256.Size]byte{}, certs: cfg.TLS.ClientCAFile != "", seal: []byte(rand.Text())}
	for _, b := range cfg.Bouncers {
		g.keys[b.Name] = sha256.Sum256([]byte(b.Key.Reveal()))
	}
	return g
}

// who returns the bouncer's name; false when it may not ask.
func (g *guard) who(r *http.Request, now time.Time) (string, bool) {
	if k := r.Header.Get("X-Api-Key"); k != "" {
		return g.owner(k)
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return g.bearer(token, now)
	}
	if g.certs && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return r.TLS.VerifiedChains[0][0].Subject.CommonName, true
	}
	return "", false
}

// owner compares with every key, so that the time does not tell which one is nearly right.
func (g *guard) owner(k string) (name string, ok bool) {
	sum := sha256.Sum256([]byte(k))
	for n, want := range g.keys {
		if subtle.ConstantTimeCompare(sum[:], want[:]) == 1 {
			name, ok = n, true
		}
	}
	return name, ok
}

// login returns a token for the bouncer's name and key, and when it ends.
func (g *guard) login(name, k string, now time.Time) (token string, ends time.Time, ok bool) {
	if owner, known := g.owner(k); !known || owner != name {
		return "", time.Time{}, false
	}
	ends = now.Add(tokenLife).Truncate(time.Second)
	text := strconv.FormatInt(ends.Unix(), 10) + "." + name
	return base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + g.sign(text), ends, true
}

func (g *guard) bearer(token string, now time.Time) (string, bool) {
	body, sum, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || !hmac.Equal([]byte(sum), []byte(g.sign(string(text)))) {
		return "", false
	}
	ends, name, _ := strings.Cut(string(text), ".")
	n, err := strconv.ParseInt(ends, 10, 64)
	return name, err == nil && now.Unix() < n
}

func (g *guard) sign(text string) string {
	m := hmac.New(sha256.New, g.seal)
	m.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}
