package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

// signer is an identity provider's key.
type signer struct {
	t   testing.TB
	id  string
	key *ecdsa.PrivateKey
}

func newSigner(t testing.TB, id string) signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{t, id, k}
}

func (s signer) sign(claims map[string]any) string {
	s.t.Helper()
	sig, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: s.id}}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := jwt.Signed(sig).Claims(claims).Serialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func jwks(t testing.TB, signers ...signer) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, s := range signers {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: s.key.Public(), KeyID: s.id, Use: "sig"})
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func alice(change ...any) map[string]any {
	now := time.Now()
	c := map[string]any{"sub": "alice", "iss": "https://idp", "aud": []string{"shop", "x"}, "exp": now.Add(time.Hour).Unix(),
		"org": map[string]any{"id": "acme"}, "scope": "read write"}
	for i := 0; i < len(change); i += 2 {
		c[change[i].(string)] = change[i+1]
	}
	return c
}

func unsigned(claims map[string]any) string {
	b, _ := json.Marshal(claims)
	e := base64.RawURLEncoding
	return e.EncodeToString([]byte(`{"alg":"none"}`)) + "." + e.EncodeToString(b) + "."
}

// hmacWithPublicKey is the classic confusion: the public key used as an HMAC secret.
func hmacWithPublicKey(t testing.TB, public []byte) string {
	sig, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: public}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(sig).Claims(alice()).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestPrincipals(t *testing.T) {
	idp, other := newSigner(t, "k1"), newSigner(t, "k1")
	stranger := newSigner(t, "k9")
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, jwks(t, idp), 0o600); err != nil {
		t.Fatal(err)
	}
	verifying := Credential{Type: typeJWT, JWKSFile: file, Issuer: "https://idp", Audience: []string{"shop"}, TenantClaim: "org.id", RolesClaim: "scope"}
	good := idp.sign(alice())
	parts := strings.Split(good, ".")
	payload, _ := json.Marshal(alice("sub", "admin"))
	tampered := parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + parts[2]
	hour := time.Hour
	claimedAlice := event.Principal{ID: "unverified:alice", Type: "jwt", Tenant: "acme", Roles: []string{"read", "write"}}
	type test struct {
		sources       []Credential
		header, value string
		principal     event.Principal
		auth          event.Auth
	}
	tests := map[string]test{}
	add := func(name string, sources []Credential, header, value string, p event.Principal, a event.Auth) {
		tests[name] = test{sources, header, value, p, a}
	}
	addJWT := func(name, token string, p event.Principal, a event.Auth) {
		add(name, []Credential{verifying}, "Authorization", "Bearer "+token, p, a)
	}
	verified := claimedAlice
	verified.ID = "alice"
	addJWT("good", good, verified, event.Auth{Outcome: "success"})
	addJWT("expired", idp.sign(alice("exp", time.Now().Add(-hour).Unix())), claimedAlice, failure("expired"))
	addJWT("not yet", idp.sign(alice("nbf", time.Now().Add(hour).Unix())), claimedAlice, failure("not_yet_valid"))
	addJWT("issuer", idp.sign(alice("iss", "https://evil")), claimedAlice, failure("issuer"))
	addJWT("audience", idp.sign(alice("aud", "bank")), claimedAlice, failure("audience"))
	addJWT("forged key id", other.sign(alice()), claimedAlice, failure("bad_signature"))
	addJWT("unknown key", stranger.sign(alice()), claimedAlice, failure("unknown_key"))
	admin := claimedAlice
	admin.ID = "unverified:admin"
	addJWT("tampered", tampered, admin, failure("bad_signature"))
	addJWT("alg none", unsigned(alice()), claimedAlice, failure("algorithm"))
	addJWT("hmac", hmacWithPublicKey(t, jwks(t, idp)), claimedAlice, failure("algorithm"))
	addJWT("malformed", "a.b.c", event.Principal{Type: "jwt"}, failure("malformed"))
	addJWT("too long", strings.Repeat("a", maxToken)+".b.c", event.Principal{Type: "jwt"}, failure("too_long"))
	addJWT("no name", idp.sign(alice("sub", "")), event.Principal{Type: "jwt"}, failure("no_name"))
	addJWT("opaque token is not ours", "opaque", event.Principal{}, event.Auth{Outcome: "anonymous"})
	plainJWT := []Credential{{Type: typeJWT}}
	add("unverified", plainJWT, "Authorization", "bearer "+good, event.Principal{ID: "unverified:alice", Type: "jwt"}, event.Auth{Reason: "unverified"})
	add("unverified alg none", plainJWT, "Authorization", "Bearer "+unsigned(alice()), event.Principal{ID: "unverified:alice", Type: "jwt"}, event.Auth{Reason: "unverified"})
	add("trusted", []Credential{{Type: typeJWT, Trust: true, Header: "X-Jwt", Claim: "iss"}}, "X-Jwt", good,
		event.Principal{ID: "https://idp", Type: "jwt"}, event.Auth{Reason: "unverified"})
	add("basic", []Credential{{Type: typeBasic}}, "Authorization", "Basic YWxpY2U6cHc=", event.Principal{ID: "unverified:alice", Type: "basic"}, event.Auth{Reason: "unverified"})
	add("basic, a token", []Credential{{Type: typeBasic}}, "Authorization", "Basic c2tfbGl2ZV9zM2NyZXQ6",
		event.Principal{ID: "unverified:" + hashed("sk_live_s3cret"), Type: "basic"}, event.Auth{Reason: "unverified"})
	add("order", []Credential{{Type: typeAPIKey, Header: "X-Key", HashKey: config.NewSecret("s")}, {Type: typeBasic}}, "Authorization", "Basic YWxpY2U6cHc=",
		event.Principal{ID: "unverified:alice", Type: "basic"}, event.Auth{Reason: "unverified"})
	add("anonymous", plainJWT, "X-None", "x", event.Principal{}, event.Auth{Outcome: "anonymous"})
	add("no sources", nil, "Authorization", "Bearer "+good, event.Principal{}, event.Auth{})
	add("api key", []Credential{{Type: typeAPIKey, Header: "X-Key", HashKey: config.NewSecret("s")}}, "X-Key", "k",
		event.Principal{ID: "key:eff4f79cbd30588f8586e3d777f64bc8", Type: "api_key"}, event.Auth{})
	up := echo(t).URL
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := start(t, up, func(c *Config) { c.Principal = tt.sources; c.MaxHeaderBytes = 1 << 20 })
			_, _, e := b.get("/", tt.header, tt.value)
			if diff := cmp.Diff(tt.principal, e.Principal); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.auth, e.Auth); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPIKeyIsKeptOnlyAsAHash(t *testing.T) {
	dir := t.TempDir()
	up := echo(t).URL
	ids := map[string]bool{}
	for range 2 { // the second gateway finds the key that the first one made
		b := start(t, up, func(c *Config) {
			c.DataDir = dir
			c.Principal = []Credential{{Type: typeAPIKey, Query: "api_key"}, {Type: typeAPIKey, Header: "X-Secret-Key"}}
			c.Headers.Capture = []string{"X-Secret-Key"}
		})
		_, _, e := b.get("/?a=1&api%5Fkey=hunter2&b", "Referer", "http://x/?api_key=hunter2", "X-Secret-Key", "hunter2")
		if strings.Contains(string(e.Append(nil)), "hunter2") {
			t.Errorf("the key is in the event: %+v", e.Request)
		}
		if e.Request.Query != "a=1&api%5Fkey=<redacted>&b" {
			t.Errorf("query %q", e.Request.Query)
		}
		ids[e.Principal.ID] = true
		_, _, e = b.get("/", "X-Secret-Key", "hunter2")
		ids[e.Principal.ID] = true
	}
	if len(ids) != 1 || ids[""] {
		t.Errorf("one key has the ids %v", ids)
	}
	st, err := os.Stat(filepath.Join(dir, hashKeyFile))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
}

func TestUpstreamJudgesCredentials(t *testing.T) {
	var code atomic.Int32
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(code.Load())) }))
	defer up.Close()
	b := start(t, up.URL, func(c *Config) {
		c.TrustedProxies = []string{"127.0.0.1"}
		c.Principal = []Credential{{Type: typeHeader, Name: "X-User"}, {Type: typeBasic}}
	})
	for _, tt := range []struct {
		header, value string
		code          int32
		want          event.Auth
	}{
		{"Authorization", "Basic YWxpY2U6cHc=", 401, failure("upstream_401")},
		{"Authorization", "Basic YWxpY2U6cHc=", 403, failure("upstream_403")},
		{"X-None", "", 401, failure("upstream_401")},
		{"X-None", "", 200, event.Auth{Outcome: "anonymous"}},
		{"X-User", "alice", 401, failure("upstream_401")},
		{"X-User", "alice", 403, event.Auth{Outcome: "success", Reason: "upstream_403"}},
		{"X-User", "alice", 200, event.Auth{Outcome: "success"}},
	} {
		code.Store(tt.code)
		if _, _, e := b.get("/", tt.header, tt.value); e.Auth != tt.want {
			t.Errorf("%s, upstream %d: %+v, want %+v", tt.header, tt.code, e.Auth, tt.want)
		}
	}
}

func TestJWKSRotationAndOutage(t *testing.T) {
	one, two := newSigner(t, "k1"), newSigner(t, "k2")
	var answer atomic.Pointer[[]byte]
	var asked atomic.Int32
	idp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if b := answer.Load(); b != nil {
			_, _ = w.Write(*b)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer idp.Close()
	b := start(t, echo(t).URL, func(c *Config) { c.Principal = []Credential{{Type: typeJWT, JWKSURL: idp.URL}} })
	keys := b.gw.who.keySets[0]
	fetches := func(result string) float64 { return b.metric("warder_gateway_jwks_fetches_total", "result="+result) }
	get := func(s signer) event.Auth {
		_, _, e := b.get("/", "Authorization", "Bearer "+s.sign(alice()))
		return e.Auth
	}
	eventually(t, "the first fetch", func() bool { return fetches("error") == 1 })
	if got := get(one); got != (event.Auth{Reason: reasonKeysUnavailable}) {
		t.Errorf("before any keys: %+v", got)
	}
	if n := asked.Load(); n > 1 {
		t.Errorf("asked %d times within the pause", n)
	}
	// From here on unknown keys may ask at once, and wait as long as it takes.
	keys.mu.Lock()
	keys.pause, keys.wait = 0, patience
	keys.mu.Unlock()
	set := jwks(t, one)
	answer.Store(&set)
	if got := get(one); got.Outcome != "success" {
		t.Errorf("with keys: %+v", got)
	}
	set2 := jwks(t, one, two)
	answer.Store(&set2)
	if got := get(two); got.Outcome != "success" {
		t.Errorf("after the rotation: %+v", got)
	}
	answer.Store(nil)
	if got := get(newSigner(t, "k3")); got != (event.Auth{Reason: reasonKeysUnavailable}) {
		t.Errorf("unknown key in the outage: %+v", got)
	}
	if got := get(one); got.Outcome != "success" {
		t.Errorf("known key in the outage: %+v", got)
	}
}

func TestKeySetRefusesBadDocuments(t *testing.T) {
	k, err := newKeySet(Credential{JWKSURL: "http://127.0.0.1:1"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.done()
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: newSigner(t, "p").key, KeyID: "p"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "no keys": `{"keys":[]}`, "secret key": `{"keys":[{"kty":"oct","k":"AAAA"}]}`, "private": string(private),
		"too large": strings.Repeat(" ", maxJWKS+1),
	} {
		if k.take([]byte(text)) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := k.read(context.Background()); err == nil {
		t.Error("read from nowhere")
	}
}

func TestLongNamesStayApart(t *testing.T) {
	a, b := boundID(strings.Repeat("a", 300)+"1"), boundID(strings.Repeat("a", 300)+"2")
	if a == b || len(a) > event.MaxShort {
		t.Errorf("%q, %q", a, b)
	}
	if got := boundID(claimedPrefix + "a\nb"); !strings.HasPrefix(got, claimedPrefix) || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
}
