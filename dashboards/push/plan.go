package push

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/warder/warder/internal/console"
)

// Action is what is done about one object.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Remove Action = "remove" // an alert rule that an earlier version of Warder pushed
	Keep   Action = "keep"   // it is as wanted
)

// Change is what is to be done about one object. Name is safe to print.
type Change struct {
	Kind   string // folder, data source, dashboard, alert rule, message template, contact point
	Name   string
	Action Action
	Fields []Difference // of an update, at most 200
	Link   string       // path of the object's page in Grafana, "" when it has none

	apply func(*session) error
}

// Plan is what Grafana lacks of what is wanted.
type Plan struct {
	Version string // of Grafana; "" when it does not tell
	Changes []Change
	Notes   []string // what a person should know or do, safe to print
}

// Differs tells whether anything is to be written.
func (p *Plan) Differs() bool {
	for i := range p.Changes {
		if p.Changes[i].Action != Keep {
			return true
		}
	}
	return false
}

// planner collects a plan.
type planner struct {
	*session
	want Want
	plan *Plan
}

// Plan looks at Grafana and returns what is to be done. Nothing is written.
func (c *Client) Plan(ctx context.Context, want Want) (*Plan, error) {
	if err := want.Validate(); err != nil {
		return nil, err
	}
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	p := &planner{session: s, want: want, plan: &Plan{}}
	if c.base.Scheme == "http" && !loopback(c.base.Hostname()) {
		p.note("the token and the passwords cross the network in the clear: use https in --url, and make a new token")
	}
	for _, step := range []func() error{p.version, p.plugin, p.folder, p.dataSource, p.boards, p.rules, p.contacts} {
		if err := step(); err != nil {
			return nil, plain(err)
		}
	}
	return p.plan, nil
}

// loopback tells whether the host is this machine.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Apply does what the plan says, in its order, and calls done after each change that was written. It stops at the first that fails:
// a new plan takes up what is left.
func (c *Client) Apply(ctx context.Context, p *Plan, done func(*Change)) error {
	s, err := c.session(ctx)
	if err != nil {
		return err
	}
	for i := range p.Changes {
		ch := &p.Changes[i]
		if ch.Action == Keep {
			continue
		}
		if err := ch.apply(s); err != nil {
			return fmt.Errorf("%s %s: %w", ch.Kind, ch.Name, plain(err))
		}
		done(ch)
	}
	return nil
}

// add notes a change; differing fields make it an update, none a Keep.
func (p *planner) add(kind, title, link string, action Action, fields []Difference, apply func(*session) error) {
	if action == Update && len(fields) == 0 {
		action = Keep
	}
	p.plan.Changes = append(p.plan.Changes, Change{Kind: kind, Name: console.Clean(title, 120), Action: action, Fields: fields, Link: link, apply: apply})
}

func (p *planner) note(format string, args ...any) {
	p.plan.Notes = append(p.plan.Notes, fmt.Sprintf(format, args...))
}

// The first version whose alert rules can be provisioned with threshold expressions.
const minMajor, minMinor = 9, 3

func (p *planner) version() error {
	h, err := p.Health()
	if has(err, http.StatusNotFound) || err == nil && h.Version == "" && h.Database == "" {
		return p.wire.notGrafana(&http.Request{URL: &url.URL{Path: "/api/health"}})
	}
	if err != nil {
		return err
	}
	p.plan.Version = console.Clean(h.Version, 40)
	if h.Version == "" { // auth.anonymous hide_version
		p.note("Grafana does not tell its version; %d.%d or newer is needed", minMajor, minMinor)
		return nil
	}
	major, rest, _ := strings.Cut(h.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	ma, err1 := strconv.Atoi(major)
	mi, err2 := strconv.Atoi(minor)
	switch {
	case err1 != nil || err2 != nil:
		p.note("Grafana's version %q is not understood; %d.%d or newer is needed", p.plan.Version, minMajor, minMinor)
	case ma < minMajor || ma == minMajor && mi < minMinor:
		return fmt.Errorf("%s runs Grafana %s: %d.%d or newer is needed (the alert rules' threshold expressions and the API that provisions them); "+
			"upgrade it, or load the dashboards' files of `warder dashboards export` by hand", p.wire.host, p.plan.Version, minMajor, minMinor)
	}
	return nil
}

// plugin finds out whether Grafana can talk to ClickHouse: it takes a data source of a type that it does not have without a word.
func (p *planner) plugin() error {
	var settings struct {
		Info struct {
			Version string `json:"version"`
		} `json:"info"`
	}
	err := p.get("/api/plugins/"+PluginID+"/settings", nil, &settings)
	if has(err, http.StatusNotFound) {
		return fmt.Errorf("the Grafana at %s lacks the ClickHouse data source plugin: install it with `grafana cli plugins install %s` and restart Grafana "+
			"(in a container: GF_INSTALL_PLUGINS=%[2]s; in Grafana Cloud: Administration, Plugins)", p.wire.host, PluginID)
	}
	if has(err, http.StatusForbidden) {
		p.note("the token may not ask which plugins there are: whether %s is installed shows when a dashboard is opened", PluginID)
		return nil
	}
	if err != nil {
		return err
	}
	if major, _, _ := strings.Cut(settings.Info.Version, "."); len(major) == 1 && major < "4" {
		return fmt.Errorf("the Grafana at %s has version %s of the ClickHouse data source plugin: 4.0 or newer is needed; "+
			"`grafana cli plugins update %s` and restart Grafana", p.wire.host, console.Clean(settings.Info.Version, 40), PluginID)
	}
	return nil
}
