package nftables

import (
	"errors"

	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/enforcer/push/program"
	"github.com/warder/warder/internal/config"
)

// Config of the nftables of one network namespace.
type Config struct {
	// Name tells the gateway from others in acknowledgements, logs and metrics.
	Name string      `yaml:"name"`
	Push push.Config `yaml:",inline"`
	// Command is the program nft, with arguments that go before its own: [ip, netns, exec, edge, nft]. There is no shell.
	Command []string `yaml:"command"`
	// Forward drops also what the machine passes on, to containers for example, not only what is for the machine itself.
	Forward bool `yaml:"forward"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Name: "nftables", Push: push.DefaultConfig(), Command: []string{"nft"}}
}

// UnmarshalYAML decodes over the defaults, so that an entry of a list has them too.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Validate tells, as config.FieldErrors, what is wrong.
func (c *Config) Validate() error {
	err := errors.Join(c.Push.Validate(), program.Validate("command", c.Command))
	if c.Name == "" {
		err = errors.Join(err, config.Errorf("name", "is empty: give the gateway a name of its own"))
	}
	return err
}
