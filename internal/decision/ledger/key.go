package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Fingerprint names a public key: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes.
func Fingerprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// publicKey reads the key of a start.
func (e *Entry) publicKey() (ed25519.PublicKey, error) {
	b, err := hex.DecodeString(e.Public)
	if err != nil || len(b) != ed25519.PublicKeySize || !lowerHex(e.Public) {
		return nil, errors.New("public_key is not an Ed25519 key of 64 lower-case hexadecimal digits")
	}
	if Fingerprint(b) != e.Key {
		return nil, fmt.Errorf("public_key has the fingerprint %s, the entry says %.40q", Fingerprint(b), e.Key)
	}
	return b, nil
}

// PEM block types.
const (
	privateType = "PRIVATE KEY"
	publicType  = "PUBLIC KEY"
)

// OpenKey reads the signing key from the file, PEM of PKCS #8. A file that does not exist is made, readable by its owner alone, and beside
// it one for the public key, whose name ends in .pub instead of the file's extension. Processes that do so at once get the same key.
func OpenKey(file string) (ed25519.PrivateKey, error) {
	b, err := os.ReadFile(file)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		if err = makeKey(file); err != nil {
			return nil, fmt.Errorf("make the ledger's signing key: %w", err)
		}
		b, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the ledger's signing key: %w", err)
	}
	key, err := parsePrivate(b)
	if err != nil {
		return nil, fmt.Errorf("the ledger's signing key %s %w; restore it, or move it away and a new one is made", file, err)
	}
	if err = writePublic(PublicFile(file), key.Public().(ed25519.PublicKey)); err != nil && made {
		// A key that was put there may lie in a folder that is only read; its public half is also in the ledger.
		return nil, fmt.Errorf("write the ledger's public key: %w", err)
	}
	return key, nil
}

// PublicFile names the file of the public key of a private key's file.
func PublicFile(file string) string { return strings.TrimSuffix(file, filepath.Ext(file)) + ".pub" }

func parsePrivate(b []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != privateType {
		return nil, errors.New("holds no PEM block " + privateType)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("is not an Ed25519 key")
	}
	return ed, nil
}

// makeKey writes a new key unless another process was faster. The file is complete as soon as it has its name.
func makeKey(file string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err = os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := writeTemp(file, pem.EncodeToMemory(&pem.Block{Type: privateType, Bytes: der}))
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp) }()
	if err = os.Link(tmp, file); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// writeTemp writes a file beside the named one, mode 0600, and returns its name.
func writeTemp(file string, b []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// writePublic writes the public key, PEM of PKIX, unless the file says so already.
func writePublic(file string, key ed25519.PublicKey) error {
	if have, err := ReadPublic(file); err == nil && have.Equal(key) {
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return err
	}
	tmp, err := writeTemp(file, pem.EncodeToMemory(&pem.Block{Type: publicType, Bytes: der}))
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(tmp, 0o644), os.Rename(tmp, file))
}

// ReadPublic reads a public key file, PEM of PKIX.
func ReadPublic(file string) (ed25519.PublicKey, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != publicType {
		return nil, fmt.Errorf("%s holds no PEM block %s: name the file audit.pub that Warder wrote beside audit.key", file, publicType)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	ed, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an Ed25519 key", file)
	}
	return ed, nil
}
