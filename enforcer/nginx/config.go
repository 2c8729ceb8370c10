package nginx

import (
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/warder/warder/enforcer/push"
	"github.com/warder/warder/enforcer/push/program"
	"github.com/warder/warder/internal/config"
)

// Config of one NGINX.
type Config struct {
	// Name tells the gateway from others in acknowledgements, logs and metrics.
	Name string      `yaml:"name"`
	Push push.Config `yaml:",inline"`
	// File is written by Warder and included by NGINX's configuration within http. Its folder must be Warder's to write.
	File string `yaml:"file"`
	// Principal is NGINX's variable with the proven principal, such as $jwt_claim_sub; "" when there is none.
	Principal string `yaml:"principal"`
	// Test is the command that checks NGINX's configuration with the new file.
	Test []string `yaml:"test"`
	// Reload is the command that makes NGINX read it; not used with PIDFile.
	Reload []string `yaml:"reload"`
	// PIDFile holds the id of NGINX's master process, which then gets SIGHUP.
	PIDFile string `yaml:"pid_file"`
	// MinInterval is the shortest time between two reloads: each one starts new workers.
	MinInterval config.Duration `yaml:"min_interval"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Name: "nginx", Push: push.DefaultConfig(), File: "/etc/nginx/warder/blocked.conf", Test: []string{"nginx", "-t"},
		Reload: []string{"nginx", "-s", "reload"}, MinInterval: config.Duration(2 * time.Second)}
}

// UnmarshalYAML decodes over the defaults, so that an entry of a list has them too.
func (c *Config) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Config
	*c = DefaultConfig()
	return unmarshal((*plain)(c))
}

// Validate tells, as config.FieldErrors, what is wrong.
func (c *Config) Validate() error {
	errs := []error{c.Push.Validate(), program.Validate("test", c.Test)}
	if c.Name == "" {
		errs = append(errs, config.Errorf("name", "is empty: give the gateway a name of its own"))
	}
	if !filepath.IsAbs(c.File) {
		errs = append(errs, config.Errorf("file", "must be an absolute path, got %.200q", c.File))
	}
	if c.Principal != "" && !isVariable(c.Principal) {
		errs = append(errs, config.Errorf("principal", "%.80q is not a variable of NGINX: write for example $jwt_claim_sub", c.Principal))
	}
	if c.PIDFile == "" {
		errs = append(errs, program.Validate("reload", c.Reload))
	} else if !filepath.IsAbs(c.PIDFile) {
		errs = append(errs, config.Errorf("pid_file", "must be an absolute path, got %.200q", c.PIDFile))
	}
	if c.MinInterval < 0 || c.MinInterval >= c.Push.Timeout {
		errs = append(errs, config.Errorf("min_interval", "must be at least 0s and below timeout (%s), got %s", c.Push.Timeout, c.MinInterval))
	}
	return errors.Join(errs...)
}

func isVariable(s string) bool {
	name, ok := strings.CutPrefix(s, "$")
	return ok && name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool { return r != '_' && !plain(r) })
}
