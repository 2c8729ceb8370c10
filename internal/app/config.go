package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/warder/warder/collector"
	"github.com/warder/warder/collector/accesslog"
	"github.com/warder/warder/collector/gateway"
	"github.com/warder/warder/detector/stage"
	"github.com/warder/warder/enforcer"
	"github.com/warder/warder/enforcer/api"
	"github.com/warder/warder/enforcer/audit"
	"github.com/warder/warder/enforcer/proof"
	"github.com/warder/warder/enforcer/traffic"
	"github.com/warder/warder/internal/bus"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/engine"
	"github.com/warder/warder/internal/store"
	"github.com/warder/warder/internal/telemetry"
	"github.com/warder/warder/sinks"
	"github.com/warder/warder/sinks/email"
	"github.com/warder/warder/sinks/slack"
	"github.com/warder/warder/sinks/syslog"
	"github.com/warder/warder/sinks/webhook"
)

// Config is the whole configuration: each package's own, under one roof.
type Config struct {
	// DataDir holds everything that must survive a restart: spool, gateway state, embedded broker and engine.
	DataDir string                `yaml:"data_dir"`
	Log     telemetry.LogConfig   `yaml:"log"`
	Admin   telemetry.AdminConfig `yaml:"admin"`
	// Telemetry is what the process tells the store of itself.
	Telemetry  telemetry.ReportConfig `yaml:"telemetry"`
	Kafka      Kafka                  `yaml:"kafka"`
	Store      store.Config           `yaml:"store"`
	Engine     engine.Config          `yaml:"engine"` // when store.addrs is empty
	Gateway    gateway.Config         `yaml:"gateway"`
	Gateways   Gateways               `yaml:"gateways"`
	AccessLogs []accesslog.Config     `yaml:"access_logs"`
	Collector  collector.Config       `yaml:"collector"`
	Rules      Rules                  `yaml:"rules"`
	Detector   stage.Config           `yaml:"detector"`
	Enforcer   Enforcer               `yaml:"enforcer"`
	Audit      audit.Config           `yaml:"audit"`
	API        api.Config             `yaml:"api"`
	Sinks      Sinks                  `yaml:"sinks"`
}

// Kafka is the bus: a cluster, or without brokers the embedded one.
type Kafka struct {
	bus.Config `yaml:",inline"`
	Embedded   bus.EmbeddedConfig `yaml:"embedded"`
}

// IsEmbedded tells whether no broker is configured.
func (k *Kafka) IsEmbedded() bool { return len(k.Brokers) == 0 }

// Validate tells what is wrong with the configuration.
func (k *Kafka) Validate() error {
	if !k.IsEmbedded() {
		return k.Config.Validate()
	}
	cluster := k.Config
	cluster.Brokers = bus.DefaultConfig().Brokers
	return errors.Join(cluster.Validate(), config.In("embedded", k.Embedded.Validate()))
}

// Enforcer is the enforcer with what it knows of the traffic and of its effect.
type Enforcer struct {
	enforcer.Config `yaml:",inline"`
	Traffic         traffic.Config `yaml:"traffic"`
	Proof           proof.Config   `yaml:"proof"`
}

// Validate tells what is wrong with the configuration.
func (e *Enforcer) Validate() error {
	return errors.Join(e.Config.Validate(), config.In("traffic", e.Traffic.Validate()), config.In("proof", e.Proof.Validate()))
}

// Rules says which rules the detector runs.
type Rules struct {
	// Packs turns the shipped packs on.
	Packs bool `yaml:"packs"`
	// Paths are files and folders with rules of one's own.
	Paths []string `yaml:"paths"`
	// Disable lists ids of rules to leave out.
	Disable []string `yaml:"disable"`
	// Reload is how often the files under Paths are looked at for changes, which are taken up without a restart; 0 for never.
	Reload config.Duration `yaml:"reload"`
}

// Sinks lists who is told.
type Sinks struct {
	sinks.Config `yaml:",inline"`
	Webhook      []webhook.Config `yaml:"webhook"`
	Slack        []slack.Config   `yaml:"slack"`
	Email        []email.Config   `yaml:"email"`
	Syslog       []syslog.Config  `yaml:"syslog"`
}

// Validate tells what is wrong with the configuration.
func (s *Sinks) Validate() error {
	errs := []error{s.Config.Validate()}
	seen := map[string]string{}
	check := func(kind string, i int, name string, err error) {
		key := fmt.Sprintf("%s[%d]", kind, i)
		errs = append(errs, config.In(key, err))
		if at, ok := seen[name]; ok && name != "" {
			errs = append(errs, config.Errorf(key+".name", "%q is also the name of %s; each sink needs its own", name, at))
		}
		seen[name] = key
	}
	for i := range s.Webhook {
		check("webhook", i, s.Webhook[i].Name, s.Webhook[i].Validate())
	}
	for i := range s.Slack {
		check("slack", i, s.Slack[i].Name, s.Slack[i].Validate())
	}
	for i := range s.Email {
		check("email", i, s.Email[i].Name, s.Email[i].Validate())
	}
	for i := range s.Syslog {
		check("syslog", i, s.Syslog[i].Name, s.Syslog[i].Validate())
	}
	return errors.Join(errs...)
}

// DefaultConfig returns the defaults: everything embedded, the shipped packs, no route, nobody told, nothing enforced.
func DefaultConfig() Config {
	k := Kafka{Config: bus.DefaultConfig(), Embedded: bus.DefaultEmbeddedConfig()}
	k.Brokers = nil
	return Config{
		DataDir:   defaultDataDir(),
		Log:       telemetry.DefaultLogConfig(),
		Admin:     telemetry.DefaultAdminConfig(),
		Telemetry: telemetry.DefaultReportConfig(),
		Kafka:     k,
		Store:     store.DefaultConfig(),
		Engine:    engine.DefaultConfig(),
		Gateway:   gateway.DefaultConfig(),
		Collector: collector.DefaultConfig(),
		Rules:     Rules{Packs: true, Reload: config.Duration(2 * time.Second)},
		Detector:  stage.DefaultConfig(),
		Gateways:  defaultGateways(),
		Enforcer:  Enforcer{Config: enforcer.DefaultConfig(), Traffic: traffic.DefaultConfig(), Proof: proof.DefaultConfig()},
		Audit:     audit.DefaultConfig(),
		API:       api.DefaultConfig(),
		Sinks:     Sinks{Config: sinks.DefaultConfig()},
	}
}

// defaultDataDir follows the XDG base directory specification.
func defaultDataDir() string {
	if d := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "warder")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "warder")
	}
	return "warder-data"
}

// resolved returns the configuration with every folder that it does not name put under DataDir.
func (c Config) resolved() Config {
	under := func(dir *string, name string) {
		if *dir == "" {
			*dir = filepath.Join(c.DataDir, name)
		}
	}
	under(&c.Kafka.Embedded.Dir, "kafka")
	under(&c.Engine.Dir, "engine")
	under(&c.Collector.Spool.Dir, "spool")
	under(&c.Gateway.DataDir, "gateway")
	under(&c.Audit.Key, "audit.key")
	under(&c.API.DataDir, "")
	c.AccessLogs = slices.Clone(c.AccessLogs)
	for i := range c.AccessLogs {
		under(&c.AccessLogs[i].State, "access-logs")
	}
	return c
}

// Validate tells everything that is wrong with the configuration, as config.FieldErrors. What only some roles need is
// checked by [New].
func (c *Config) Validate() error {
	r := c.resolved()
	c = &r
	errs := []error{
		config.In("log", c.Log.Validate()),
		config.In("admin", c.Admin.Validate()),
		config.In("telemetry", c.Telemetry.Validate()),
		config.In("kafka", c.Kafka.Validate()),
		config.In("store", c.Store.Validate()),
		config.In("engine", c.Engine.Validate()),
		config.In("collector", c.Collector.Validate()),
		config.In("detector", c.Detector.Validate()),
		config.In("gateways", c.Gateways.Validate()),
		config.In("enforcer", c.Enforcer.Validate()),
		config.In("audit", c.Audit.Validate()),
		config.In("api", c.API.Validate()),
		config.In("sinks", c.Sinks.Validate()),
	}
	if c.DataDir == "" {
		errs = append(errs, config.Errorf("data_dir", "is empty; name a folder that Warder may write to"))
	}
	if len(c.Gateway.Routes) > 0 {
		errs = append(errs, config.In("gateway", c.Gateway.Validate()))
	}
	for i := range c.AccessLogs {
		errs = append(errs, config.In(fmt.Sprintf("access_logs[%d]", i), c.AccessLogs[i].Validate()))
	}
	for i, p := range c.Rules.Paths {
		if _, err := os.Stat(p); err != nil {
			errs = append(errs, config.Errorf(fmt.Sprintf("rules.paths[%d]", i), "%v; name a rule file or a folder of them", err))
		}
	}
	if c.Rules.Reload < 0 {
		errs = append(errs, config.Errorf("rules.reload", "is %s, want 0 (never) or more", c.Rules.Reload))
	}
	if !c.Rules.Packs && len(c.Rules.Paths) == 0 {
		errs = append(errs, config.Errorf("rules", "there is no rule: set packs: true or name files or folders under paths"))
	}
	return errors.Join(errs...)
}

// Load reads a configuration file over the defaults and validates it.
func Load(file string) (Config, error) {
	c := DefaultConfig()
	err := config.Load(file, &c)
	return c, err
}

// Role is one part of Warder that can run alone.
type Role string

// The roles.
const (
	RoleGateway   Role = "gateway"
	RoleCollector Role = "collector"
	RoleDetector  Role = "detector"
	RoleEnforcer  Role = "enforcer"
	RoleSinks     Role = "sinks"
	RoleStore     Role = "store"
)

// Roles lists all of them, in the order of the flow.
func Roles() []Role {
	return []Role{RoleGateway, RoleCollector, RoleDetector, RoleEnforcer, RoleSinks, RoleStore}
}

// check tells what the chosen roles lack in the configuration.
func (c *Config) check(roles []Role) error {
	has := func(r Role) bool { return slices.Contains(roles, r) }
	alone := len(roles) < len(Roles())
	switch {
	case alone && c.Kafka.IsEmbedded():
		return config.Errorf("kafka.brokers", "is empty: a role that runs alone needs a broker that the other roles reach too")
	case alone && has(RoleStore) && len(c.Store.Addrs) == 0:
		return config.Errorf("store.addrs", "is empty: the store role alone needs a ClickHouse server; write for example 127.0.0.1:9000")
	case alone && has(RoleGateway) && len(c.Gateway.Routes) == 0 && !c.Gateways.any():
		return config.Errorf("gateway.routes", "is empty, and so is gateways: name at least one upstream or another gateway, or use warder up --upstream URL")
	case alone && has(RoleCollector) && len(c.AccessLogs) == 0:
		return config.Errorf("access_logs", "is empty: name at least one log file to follow")
	case !alone && len(c.Gateway.Routes) == 0 && len(c.AccessLogs) == 0 && !c.Gateways.any():
		return config.Errorf("gateway.routes", "is empty, and so is access_logs: there is nothing to watch; use --upstream URL or name one of them")
	}
	return nil
}
