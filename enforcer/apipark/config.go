package apipark

import (
	"errors"

	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/enforcer/push/adminapi"
	"github.com/warder/warder/internal/config"
)

// Config of one APIPark.
type Config struct {
	// Name tells the gateway from others in acknowledgements, logs and metrics.
	Name string      `yaml:"name"`
	Push push.Config `yaml:",inline"`
	// Admin is the admin port of the Apinto that APIPark runs. A key, for a proxy in front of it, is sent as Authorization.
	Admin adminapi.Config `yaml:",inline"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Name: "apipark", Push: push.DefaultConfig(), Admin: adminapi.Config{URL: "http://127.0.0.1:9400"}}
}

// UnmarshalYAML decodes over the defaults, so that an entry of a list has them too.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Validate tells, as config.FieldErrors, what is wrong.
func (c *Config) Validate() error {
	err := errors.Join(c.Push.Validate(), c.Admin.Validate())
	if c.Name == "" {
		err = errors.Join(err, config.Errorf("name", "is empty: give the gateway a name of its own"))
	}
	return err
}
