package push

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/warder/warder/dashboards"
	"github.com/warder/warder/internal/config"
)

const (
	// FolderUID is the folder's identity; its title can be chosen.
	FolderUID = "warder"
	// DataSourceUID is the ClickHouse data source that the dashboards' queries name.
	DataSourceUID = dashboards.DataSource
	// PluginID is the data source plugin that Grafana needs.
	PluginID = dashboards.DataSourceType

	name       = "Warder" // of the data source, the rule group and the contact point
	maxBoard   = 4 << 20  // bytes of one dashboard
	ruleGroup  = name
	interval   = 60 // seconds between evaluations of the rules; what Grafana gives a new group
	ownedRules = "warder-"
)

// Board is a dashboard as Grafana's JSON.
type Board struct {
	UID, Title string
	Model      map[string]any
}

// ReadBoard reads the JSON of a dashboard, at most 4 MiB. Its id and version are Grafana's to give, and left out.
func ReadBoard(text []byte) (Board, error) {
	var b Board
	if len(text) > maxBoard {
		return b, fmt.Errorf("a dashboard of %d bytes is larger than %d", len(text), maxBoard)
	}
	if err := json.Unmarshal(text, &b.Model); err != nil {
		return b, fmt.Errorf("not the JSON of a dashboard: %w", err)
	}
	b.UID, _ = b.Model["uid"].(string)
	b.Title, _ = b.Model["title"].(string)
	if b.UID == "" || b.Title == "" {
		return b, errors.New("a dashboard needs a uid and a title")
	}
	delete(b.Model, "id")
	delete(b.Model, "version")
	return b, nil
}

// Boards returns the given dashboards as Grafana reads them.
func Boards(boards []dashboards.Board) ([]Board, error) {
	out := make([]Board, len(boards))
	for i := range boards {
		text, err := dashboards.Encode(boards[i])
		if err != nil {
			return nil, err
		}
		if out[i], err = ReadBoard(text); err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", boards[i].UID, err)
		}
	}
	return out, nil
}

// DataSource says where Grafana finds ClickHouse.
type DataSource struct {
	Host     string // as Grafana's machine sees it
	Port     int
	Protocol string // native or http
	TLS      bool
	CA       string // PEM of the authorities that vouch for ClickHouse; "" is the system's
	Database string
	User     string
	Password config.Secret
}

// Validate tells, as config.FieldErrors, what is missing or wrong.
func (d DataSource) Validate() error {
	var errs []error
	if d.Host == "" {
		errs = append(errs, config.Errorf("host", "is missing"))
	}
	if d.Port < 1 || d.Port > 65535 {
		errs = append(errs, config.Errorf("port", "%d is not between 1 and 65535", d.Port))
	}
	if d.Protocol != "native" && d.Protocol != "http" {
		errs = append(errs, config.Errorf("protocol", "%.20q is neither native nor http", d.Protocol))
	}
	if d.CA != "" && !d.TLS {
		errs = append(errs, config.Errorf("ca", "has no effect without TLS"))
	}
	return errors.Join(errs...)
}

// Contacts are where alert rules' messages go: one contact point with an integration for each that is set.
type Contacts struct {
	Emails  []string
	Webhook config.Secret // a URL; it may carry a key
	Slack   config.Secret // the URL of an incoming webhook
}

func (c Contacts) any() bool { return len(c.Emails) > 0 || c.Webhook.IsSet() || c.Slack.IsSet() }

// Want is the state that a Grafana is brought to.
type Want struct {
	Folder     string      // its title
	DataSource *DataSource // nil leaves the data source as it is; it must be there
	Boards     []Board
	Contacts   Contacts // none leaves contact points as they are
	// Resend sends passwords and webhook addresses even if Grafana has some: it never shows them, so they cannot be compared.
	Resend bool
}

// Validate tells, as config.FieldErrors, what cannot be pushed.
func (w Want) Validate() error {
	var errs []error
	if strings.TrimSpace(w.Folder) == "" {
		errs = append(errs, config.Errorf("folder", "is missing"))
	}
	uids, titles := map[string]bool{}, map[string]bool{}
	for _, b := range w.Boards {
		if uids[b.UID] || titles[b.Title] {
			errs = append(errs, config.Errorf("boards", "two dashboards have the uid %q or the title %q", b.UID, b.Title))
		}
		uids[b.UID], titles[b.Title] = true, true
	}
	if titles[w.Folder] {
		errs = append(errs, config.Errorf("folder", "%q is also a dashboard's title, which Grafana refuses: choose another", w.Folder))
	}
	if w.DataSource != nil {
		errs = append(errs, config.In("clickhouse", w.DataSource.Validate()))
	}
	for _, m := range w.Contacts.Emails {
		if !strings.Contains(m, "@") || strings.ContainsAny(m, " ;,\r\n<>") {
			errs = append(errs, config.Errorf("contacts", "%.80q is not a mail address such as soc@example.com", m))
		}
	}
	for what, u := range map[string]config.Secret{"webhook": w.Contacts.Webhook, "slack": w.Contacts.Slack} {
		if t := u.Reveal(); t != "" && !strings.HasPrefix(t, "https://") && !strings.HasPrefix(t, "http://") {
			errs = append(errs, config.Errorf("contacts", "the %s address does not begin with https://", what))
		}
	}
	return errors.Join(errs...)
}

// keys returns the names in a map, sorted.
func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
