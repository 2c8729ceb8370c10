package kong

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/warder/warder/enforcer/push/adminapi"
	"github.com/warder/warder/internal/decision"
)

// maxConsumers bounds the plugins of consumers: each is an entity of its own.
const maxConsumers = 1000

// consumers keeps the plugins of Kong's consumers in line: a principal is the consumer of that username. It is for one goroutine.
type consumers struct {
	api     *adminapi.Client
	log     *slog.Logger
	held    map[string]consumerPlugin // by id
	known   bool                      // held is what Kong has
	missing map[string]bool           // usernames that were logged
}

// consumerPlugin is a plugin of one consumer as the Admin API takes it.
type consumerPlugin struct {
	Name    string         `json:"name"`
	Enabled bool           `json:"enabled"`
	Tags    []string       `json:"tags"`
	Config  consumerConfig `json:"config"`

	username string // whose it is
}

// consumerConfig has the fields of request-termination and of rate-limiting that Warder sets.
type consumerConfig struct {
	Status      int    `json:"status_code,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	Body        string `json:"body,omitempty"`

	Second  int    `json:"second,omitempty"`
	Minute  int    `json:"minute,omitempty"`
	Hour    int    `json:"hour,omitempty"`
	LimitBy string `json:"limit_by,omitempty"`
	Policy  string `json:"policy,omitempty"`
}

// same tells whether two plugins do the same.
func same(a, b consumerPlugin) bool {
	return a.Name == b.Name && a.Enabled == b.Enabled && a.Config == b.Config
}

// supports tells why a decision about a principal cannot be expressed.
func (c *consumers) supports(d *decision.Decision) error {
	switch {
	case d.Action == decision.Block:
		return nil
	case d.Action == decision.Limit && (d.Rate.Per == time.Second || d.Rate.Per == time.Minute || d.Rate.Per == time.Hour):
		return nil
	case d.Action == decision.Limit:
		return errors.New("only limits by the second, the minute or the hour can be expressed at Kong")
	}
	return errors.New("only blocks and limits of consumers can be expressed at Kong")
}

// plugins returns, by id, what expresses the decisions.
func plugins(want []*decision.Decision) map[string]consumerPlugin {
	out := make(map[string]consumerPlugin, len(want))
	for _, d := range want {
		p := consumerPlugin{Enabled: true, Tags: []string{tag}, username: d.Value}
		if d.Action == decision.Block {
			p.Name = "request-termination"
			p.Config = consumerConfig{Status: http.StatusForbidden, ContentType: "application/json", Body: `{"error":"blocked","decision":"` + d.ID + `"}`}
		} else {
			p.Name = "rate-limiting"
			p.Config = consumerConfig{LimitBy: "consumer", Policy: "local"}
			switch d.Rate.Per {
			case time.Second:
				p.Config.Second = d.Rate.Requests
			case time.Minute:
				p.Config.Minute = d.Rate.Requests
			default:
				p.Config.Hour = d.Rate.Requests
			}
		}
		out[pluginID(d)] = p
	}
	return out
}

// pluginID is the plugin's id: a UUID of version 8 made from the decision's key, so that every start finds it.
func pluginID(d *decision.Decision) string {
	h := sha256.Sum256(append([]byte("warder "), d.Key()...))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	s := hex.EncodeToString(h[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// sync makes the consumers' plugins what the decisions want.
func (c *consumers) sync(ctx context.Context, want []*decision.Decision, verify bool) (repaired int, err error) {
	if len(want) > maxConsumers {
		return 0, fmt.Errorf("kong: %d decisions about consumers, limit is %d", len(want), maxConsumers)
	}
	next, have := plugins(want), c.held
	if verify || !c.known {
		if have, err = c.read(ctx); err != nil {
			return 0, err
		}
		expected := next
		if c.known {
			expected = c.held
		}
		repaired = len(different(have, expected))
	}
	c.known = false // until all has succeeded
	for _, id := range different(have, next) {
		if err := c.write(ctx, id, next); err != nil {
			return repaired, err
		}
	}
	c.held, c.known = next, true
	return repaired, nil
}

// different returns the ids of what is not the same, in order.
func different(a, b map[string]consumerPlugin) (ids []string) {
	for id, p := range a {
		if q, ok := b[id]; !ok || !same(p, q) {
			ids = append(ids, id)
		}
	}
	for id := range b {
		if _, ok := a[id]; !ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// read lists the plugins that carry Warder's tag, but for the list of addresses. A page is small enough for the client's bound.
func (c *consumers) read(ctx context.Context) (map[string]consumerPlugin, error) {
	out := map[string]consumerPlugin{}
	for at := "/plugins?size=100&tags=" + tag; at != ""; {
		var page struct {
			Data []struct {
				ID string `json:"id"`
				consumerPlugin
			} `json:"data"`
			Offset string `json:"offset"`
		}
		if err := c.api.Do(ctx, http.MethodGet, at, nil, &page); err != nil {
			return nil, fmt.Errorf("kong: list plugins: %w", err)
		}
		for _, p := range page.Data {
			if p.ID != networksID {
				out[p.ID] = p.consumerPlugin
			}
		}
		at = ""
		if page.Offset != "" && len(page.Data) > 0 {
			at = "/plugins?size=100&tags=" + tag + "&offset=" + url.QueryEscape(page.Offset)
		}
	}
	return out, nil
}

// write puts the plugin in its place, or removes it when it is not wanted. A principal that is no consumer of this Kong is passed over: it
// cannot come through it.
func (c *consumers) write(ctx context.Context, id string, want map[string]consumerPlugin) error {
	p, ok := want[id]
	if !ok {
		if err := c.api.Do(ctx, http.MethodDelete, "/plugins/"+url.PathEscape(id), nil, nil); err != nil && !adminapi.NotFound(err) {
			return fmt.Errorf("kong: remove a consumer's plugin: %w", err)
		}
		return nil
	}
	err := c.api.Do(ctx, http.MethodPut, "/consumers/"+url.PathEscape(p.username)+"/plugins/"+id, p, nil)
	switch {
	case adminapi.NotFound(err):
		delete(want, id) // the next verification tries again
		if !c.missing[p.username] && len(c.missing) < maxConsumers {
			c.missing[p.username] = true
			c.log.Warn("a decision names a principal that is no consumer of this Kong", "consumer", p.username)
		}
		return nil
	case err != nil:
		return fmt.Errorf("kong: write a consumer's plugin: %w", err)
	}
	return nil
}
