package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"

	gapi "github.com/grafana/grafana-api-golang-client"

	"github.com/warder/warder/internal/console"
)

// source is a data source as Grafana answers it. secureJsonFields, which the library leaves out, tells which secrets there are.
type source struct {
	gapi.DataSource
	Has map[string]bool `json:"secureJsonFields"`
}

// settings are the data source's fields that are not secret, as version 4 of the plugin reads them.
func (d *DataSource) settings() map[string]any {
	return map[string]any{"host": d.Host, "port": d.Port, "protocol": d.Protocol, "secure": d.TLS, "username": d.User,
		"defaultDatabase": d.Database, "tlsSkipVerify": false, "tlsAuthWithCACert": d.CA != ""}
}

func (d *DataSource) secrets() map[string]any {
	out := map[string]any{}
	if d.Password.IsSet() {
		out["password"] = d.Password.Reveal()
	}
	if d.CA != "" {
		out["tlsCACert"] = d.CA
	}
	return out
}

const sourcePage = "/connections/datasources/edit/" + DataSourceUID

func (p *planner) dataSource() error {
	var have source
	err := p.get("/api/datasources/uid/"+DataSourceUID, nil, &have)
	switch {
	case has(err, http.StatusNotFound):
		return p.newSource()
	case err != nil:
		return err
	case have.Type != PluginID:
		return fmt.Errorf("the data source with the uid %s (%s) is of type %s: the dashboards need it to be %s; give that one another uid, or delete it",
			DataSourceUID, console.Clean(have.Name, 60), console.Clean(have.Type, 60), PluginID)
	}
	return p.oldSource(&have)
}

func (p *planner) newSource() error {
	d := p.want.DataSource
	if d == nil {
		return fmt.Errorf("there is no data source with the uid %s in Grafana yet: say where it finds ClickHouse with --clickhouse HOST:PORT", DataSourceUID)
	}
	other, err := p.DataSourceByName(name)
	if err == nil {
		return fmt.Errorf("there is a data source named %s already, with the uid %s instead of %s: rename it, or give it this uid",
			name, console.Clean(other.UID, 60), DataSourceUID)
	}
	if !has(err, http.StatusNotFound) {
		return err
	}
	if !d.Password.IsSet() {
		p.note("the data source is made without a password: dashboards stay empty if ClickHouse wants one; " +
			"set WARDER_CLICKHOUSE_PASSWORD or --clickhouse-password-file and push again")
	}
	p.add("data source", name, sourcePage, Create, nil, func(s *session) error {
		_, err := s.NewDataSource(&gapi.DataSource{UID: DataSourceUID, Name: name, Type: PluginID, Access: "proxy",
			JSONData: d.settings(), SecureJSONData: d.secrets()})
		return err
	})
	return nil
}

func (p *planner) oldSource(have *source) error {
	d := p.want.DataSource
	if d == nil {
		p.add("data source", have.Name, sourcePage, Keep, nil, nil)
		return nil
	}
	fields := differences(d.settings(), have.JSONData)
	secrets := map[string]any{}
	for _, k := range keys(d.secrets()) {
		switch {
		case !have.Has[k]:
			fields = append(fields, Difference{Path: k, New: hidden})
		case p.want.Resend:
			fields = append(fields, Difference{Path: k, Old: hidden, New: hidden})
		default:
			continue
		}
		secrets[k] = d.secrets()[k]
	}
	if have.ReadOnly && len(fields) > 0 {
		return errors.New("the data source " + console.Clean(have.Name, 60) + " comes from a file of Grafana's provisioning, which the API may not change, and " +
			fields[0].Path + " differs: change that file, or leave out --clickhouse")
	}
	if !d.Password.IsSet() && !have.Has["password"] {
		p.note("the data source has no password: dashboards stay empty if ClickHouse wants one; set WARDER_CLICKHOUSE_PASSWORD or --clickhouse-password-file")
	}
	p.add("data source", have.Name, sourcePage, Update, fields, func(s *session) error {
		changed := have.DataSource
		changed.JSONData = maps.Clone(changed.JSONData)
		if changed.JSONData == nil {
			changed.JSONData = map[string]any{}
		}
		maps.Copy(changed.JSONData, d.settings())
		changed.SecureJSONData = secrets
		return s.UpdateDataSourceByUID(&changed)
	})
	return nil
}

// Check asks Grafana whether its data source reaches ClickHouse. An error says why not, in the plugin's words; a Grafana that cannot tell gives
// none.
func (c *Client) Check(ctx context.Context) error {
	s, err := c.session(ctx)
	if err != nil {
		return err
	}
	var ok any
	err = plain(s.get("/api/datasources/uid/"+DataSourceUID+"/health", nil, &ok))
	var a *Answer
	if !errors.As(err, &a) {
		return err
	}
	if a.Status == http.StatusNotFound || a.Status == http.StatusForbidden {
		return nil
	}
	return fmt.Errorf("no way from Grafana to ClickHouse: %s; check --clickhouse, its protocol, user and password", cmp.Or(a.Message, a.Error()))
}
