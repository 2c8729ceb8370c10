package audit

import "github.com/warder/warder/internal/config"

// Config says what the ledger's entries are signed with.
type Config struct {
	// Key is the file of the Ed25519 signing key, PEM of PKCS #8; it is made when it does not exist. The public key is written beside it.
	Key string `yaml:"key"`
}

// DefaultConfig has no key file: whoever wires the stage puts it into the data directory, as audit.key.
func DefaultConfig() Config { return Config{} }

// Validate tells what is wrong with the configuration.
func (c *Config) Validate() error {
	if c.Key == "" {
		return config.Errorf("key", "is empty: name a file for the ledger's signing key, for example /var/lib/warder/audit.key")
	}
	return nil
}
