package enrich

import (
	"errors"
	"fmt"
	"time"

	"github.com/warder/warder/collector/waf"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/geo"
	"github.com/warder/warder/internal/intel"
)

// Config says what is added to events. Everything is off by default.
type Config struct {
	Geo   GeoConfig     `yaml:"geo"`
	Intel []IntelConfig `yaml:"intel"`
	WAF   waf.Config    `yaml:"waf"`
	// Refresh is how often the files are looked at; those that changed are read again.
	Refresh config.Duration `yaml:"refresh"`
}

// GeoConfig names MaxMind databases. Each part of an answer is that of the first one that knows it.
type GeoConfig struct {
	Databases []string `yaml:"databases"`
}

// IntelConfig names a list of addresses.
type IntelConfig struct {
	// Name is what intel.lists shows.
	Name string `yaml:"name"`
	// File has one address or network a line.
	File string `yaml:"file"`
}

// DefaultConfig returns the defaults: no database, no list, no firewall; files are looked at every 30 s.
func DefaultConfig() Config {
	return Config{WAF: waf.DefaultConfig(), Refresh: config.Duration(30 * time.Second)}
}

// Validate checks the configuration, but not whether the files can be read: [New] does. Its errors are joined [config.FieldError]
// values.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, config.Errorf(key, format, args...)) }
	if n := len(c.Geo.Databases); n > geo.MaxFiles {
		bad("geo.databases", "%d files, limit is %d", n, geo.MaxFiles)
	}
	for i, p := range c.Geo.Databases {
		if p == "" {
			bad(fmt.Sprintf("geo.databases[%d]", i), "is empty; name a .mmdb file")
		}
	}
	if n := len(c.Intel); n > intel.MaxLists {
		bad("intel", "%d lists, limit is %d", n, intel.MaxLists)
	}
	seen := map[string]int{}
	for i, l := range c.Intel {
		key := fmt.Sprintf("intel[%d]", i)
		if err := intel.CheckName(l.Name); err != nil {
			bad(key+".name", "%v", err)
		} else if at, ok := seen[l.Name]; ok {
			bad(key+".name", "%q is also the name of intel[%d]; each list needs its own", l.Name, at)
		}
		seen[l.Name] = i
		if l.File == "" {
			bad(key+".file", "is empty; name a file with one address or network a line")
		}
	}
	if c.Refresh < config.Duration(time.Second) || c.Refresh > config.Duration(24*time.Hour) {
		bad("refresh", "%s is out of range: want 1s to 1d", c.Refresh)
	}
	return errors.Join(append(errs, config.In("waf", c.WAF.Validate()))...)
}
