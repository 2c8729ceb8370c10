package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/warder/warder/internal/config"
)

// Bounds of a JSON Web Key Set (RFC 7517) and of asking for it.
const (
	maxJWKS      = 1 << 20
	maxKeys      = 128
	maxTries     = 8 // keys tried for a token that names none
	jwksTimeout  = 10 * time.Second
	jwksRefresh  = 5 * time.Minute
	jwksRetry    = 5 * time.Second
	jwksMinPause = 10 * time.Second       // between fetches that unknown keys ask for
	jwksWait     = 100 * time.Millisecond // what a request with an unknown key waits for them
)

const reasonKeysUnavailable = "jwks_unavailable"

func decodeSegment(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }

// keySet keeps the keys that tokens are verified with. Keys that were fetched once are used until newer ones arrive: an identity
// provider that is down stops nobody. Run owns the fetching; verify may be called from any goroutine.
type keySet struct {
	read func(context.Context) ([]byte, error)
	done func() // releases what read holds
	log  *slog.Logger
	met  *metrics

	ask chan struct{} // capacity 1

	mu      sync.RWMutex
	pause   time.Duration // jwksMinPause
	wait    time.Duration // jwksWait
	byID    map[string][]jose.JSONWebKey
	all     []jose.JSONWebKey
	failed  bool      // the last fetch
	fetched time.Time // when the last fetch ended, failed or not
	next    chan struct{}
}

func newKeySet(c Credential, log *slog.Logger, met *metrics) (*keySet, error) {
	k := &keySet{
		log: log, met: met, pause: jwksMinPause, wait: jwksWait, failed: true, done: func() {},
		ask: make(chan struct{}, 1), next: make(chan struct{}),
	}
	if c.JWKSFile != "" {
		k.read = func(context.Context) ([]byte, error) { return readFile(c.JWKSFile) }
		// A file that is wrong now is a mistake in the configuration.
		text, err := k.read(context.Background())
		if err == nil {
			err = k.take(text)
		}
		if err != nil {
			return nil, config.Errorf("jwks_file", "%v", err)
		}
		return k, nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	client := &http.Client{Transport: transport, Timeout: jwksTimeout, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 3 || r.URL.Scheme != via[0].URL.Scheme {
			return errors.New("too many redirects, or one to another scheme")
		}
		return nil
	}}
	k.done = transport.CloseIdleConnections
	k.read = func(ctx context.Context) ([]byte, error) { return readURL(ctx, client, c.JWKSURL) }
	return k, nil
}

func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxJWKS+1))
}

func readURL(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %d", res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, maxJWKS+1))
}

// take replaces the keys by those of the document.
func (k *keySet) take(text []byte) error {
	if len(text) > maxJWKS {
		return fmt.Errorf("the key set has more than %d bytes", maxJWKS)
	}
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("the key set is not JSON: %w", err)
	}
	byID, all := map[string][]jose.JSONWebKey{}, []jose.JSONWebKey{}
	for _, raw := range doc.Keys {
		var key jose.JSONWebKey
		// A key of a kind that we do not know, or not for signatures, is none of our business.
		if key.UnmarshalJSON(raw) != nil || !key.IsPublic() || !key.Valid() || key.Use != "" && key.Use != "sig" {
			continue
		}
		if len(all) == maxKeys {
			return fmt.Errorf("the key set has more than %d keys", maxKeys)
		}
		all = append(all, key)
		byID[key.KeyID] = append(byID[key.KeyID], key)
	}
	if len(all) == 0 {
		return errors.New("the key set has no public key for signatures")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID, k.all, k.failed, k.fetched = byID, all, false, time.Now()
	return nil
}

// run fetches the keys now, from time to time, and when verify asks, until ctx ends.
func (k *keySet) run(ctx context.Context) {
	defer k.done()
	for {
		pause := jwksRefresh
		if err := k.fetch(ctx); err != nil && ctx.Err() == nil {
			k.log.Warn("the key set cannot be fetched; known keys stay in use", "error", err)
			pause = jwksRetry
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-k.ask:
			timer.Stop()
		}
	}
}

func (k *keySet) fetch(ctx context.Context) error {
	text, err := k.read(ctx)
	if err == nil {
		err = k.take(text)
	}
	result := "ok"
	k.mu.Lock()
	if err != nil {
		result = "error"
		k.failed, k.fetched = true, time.Now()
	}
	close(k.next)
	k.next = make(chan struct{})
	k.mu.Unlock()
	k.met.jwks.WithLabelValues(result).Inc()
	return err
}

// verify returns the payload, or the reason why there is none.
func (k *keySet) verify(ctx context.Context, jws *jose.JSONWebSignature) (payload []byte, reason string) {
	id := jws.Signatures[0].Header.KeyID
	keys, _ := k.find(id)
	if len(keys) == 0 {
		k.refresh(ctx)
		var failed bool
		if keys, failed = k.find(id); len(keys) == 0 {
			if failed {
				return nil, reasonKeysUnavailable
			}
			return nil, "unknown_key"
		}
	}
	alg := jws.Signatures[0].Header.Algorithm
	for i := range keys {
		if keys[i].Algorithm != "" && keys[i].Algorithm != alg {
			continue
		}
		if payload, err := jws.Verify(keys[i].Key); err == nil {
			return payload, ""
		}
	}
	return nil, "bad_signature"
}

// find returns the keys with the id, or some of all when the token names none, and whether the last fetch failed.
func (k *keySet) find(id string) (keys []jose.JSONWebKey, failed bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if id == "" {
		return k.all[:min(len(k.all), maxTries)], k.failed
	}
	return k.byID[id], k.failed
}

// refresh asks for newer keys and waits a moment for them, unless they are fresh: tokens with made-up key ids cannot make
// the gateway hammer the identity provider.
func (k *keySet) refresh(ctx context.Context) {
	k.mu.RLock()
	next, wait, fresh := k.next, k.wait, !k.fetched.IsZero() && time.Since(k.fetched) < k.pause
	k.mu.RUnlock()
	if fresh {
		return
	}
	select {
	case k.ask <- struct{}{}:
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-next:
	case <-timer.C:
	case <-ctx.Done():
	}
}
