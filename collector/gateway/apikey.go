package gateway

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/warder/warder/internal/event"
)

const (
	hashKeyFile = "gateway-hash.key"
	hashKeySize = 32
	maxAPIKey   = 4 << 10
	redacted    = "<redacted>"
)

// keySource names the owner of an API key by a keyed hash. Whether the key is valid only the upstream knows; but nobody can
// show up under another key's hash without having that key, so decisions about it apply.
type keySource struct {
	header, query string
	key           []byte
}

func (s *keySource) identify(r *http.Request) (identity, bool) {
	k := ""
	if s.header != "" {
		k = r.Header.Get(s.header)
	} else {
		k = queryValue(r.URL.RawQuery, s.query)
	}
	if k == "" {
		return identity{}, false
	}
	if len(k) > maxAPIKey {
		return claimed(typeAPIKey, "", event.Auth{Reason: "too_long"}), true
	}
	mac := hmac.New(sha256.New, s.key)
	_, _ = mac.Write([]byte(k)) // never fails
	return proven(typeAPIKey, "key:"+hex.EncodeToString(mac.Sum(nil)[:16]), event.Auth{}), true
}

// queryValue returns the first value of the parameter, unescaped.
func queryValue(query, name string) string {
	for part := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(part, "=")
		if isParam(k, name) {
			if v, err := url.QueryUnescape(v); err == nil {
				return v
			}
		}
	}
	return ""
}

func isParam(escaped, name string) bool {
	if escaped == name {
		return true
	}
	k, err := url.QueryUnescape(escaped)
	return err == nil && strings.EqualFold(k, name)
}

// redactQuery replaces the values of the parameters; everything else stays as it was sent.
func redactQuery(query string, names []string) string {
	if query == "" || len(names) == 0 {
		return query
	}
	parts, changed := strings.FieldsFunc(query, func(r rune) bool { return r == '&' }), false
	for i, part := range parts {
		k, v, _ := strings.Cut(part, "=")
		for _, name := range names {
			if v != "" && isParam(k, name) {
				parts[i], changed = k+"="+redacted, true
			}
		}
	}
	if !changed {
		return query
	}
	return strings.Join(parts, "&")
}

// ownHashKey reads the gateway's own key from the data directory and makes it the first time.
func ownHashKey(dir string, log *slog.Logger) ([]byte, error) {
	key := make([]byte, hashKeySize)
	_, _ = rand.Read(key) // never fails
	if dir == "" {
		log.Warn("API keys are hashed with a key that ends with this process: set data_dir or hash_key")
		return key, nil
	}
	file := filepath.Join(dir, hashKeyFile)
	text, err := os.ReadFile(file)
	if err == nil {
		key, err = hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(key) != hashKeySize {
			return nil, fmt.Errorf("%s is not %d hexadecimal digits: restore it, or remove it to start with new hashes", file, 2*hashKeySize)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return key, os.WriteFile(file, []byte(hex.EncodeToString(key)+"\n"), 0o600)
}
