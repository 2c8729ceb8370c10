package haproxy

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/warder/warder/internal/decision"
)

// The map files.
const (
	refuseIP   = "refuse_ip.map"
	refuseName = "refuse_name.map"
	limitIP    = "limit_ip.map"
	limitName  = "limit_name.map"
)

func files() []string { return []string{refuseIP, refuseName, limitIP, limitName} }

// periods are what HAProxy's stick tables measure rates over: its configuration has a table for each.
func periods() []time.Duration {
	return []time.Duration{time.Second, 10 * time.Second, time.Minute, time.Hour}
}

// maxAllowed keeps a scaled limit within what HAProxy counts with.
const maxAllowed = 1 << 30

// Supports tells why HAProxy's maps cannot express a decision.
func (g *Gateway) Supports(d *decision.Decision) error {
	switch {
	case len(d.And) > 0:
		return errors.New("haproxy: combinations of scopes are not looked up in its maps")
	case d.Scope != decision.Address && d.Scope != decision.CIDR && !slices.Contains(g.cfg.Scopes, d.Scope):
		return fmt.Errorf("haproxy: the scope %s is not among \"scopes\": HAProxy's configuration must look it up", d.Scope)
	case d.Action == decision.Log:
		return errors.New("haproxy: the action log is not expressed in its maps")
	case d.ID == "" || len(d.ID) > 64 || strings.ContainsFunc(d.ID, notWord):
		return errors.New("haproxy: the decision's id is not 1 to 64 letters, digits, - and _")
	case d.Action == decision.Limit && d.Rate.Per > time.Hour:
		return errors.New("haproxy: a limit over more than an hour has no stick table")
	}
	return nil
}

func notWord(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// entries returns what the maps must hold: file, key, value. A block goes before a challenge of the same entity.
func entries(want []*decision.Decision) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, f := range files() {
		out[f] = map[string]string{}
	}
	for _, d := range want { // in the order of keys: blocks first
		file, key, value := entry(d)
		if _, ok := out[file][key]; !ok {
			out[file][key] = value
		}
	}
	return out
}

// entry is one decision. Values begin with the expiry in seconds since 1970 and the id, so that HAProxy lets an entry end by itself.
func entry(d *decision.Decision) (file, key, value string) {
	ip := d.Scope == decision.Address || d.Scope == decision.CIDR
	key = d.Value
	if !ip {
		key = base64.StdEncoding.EncodeToString([]byte(string(d.Scope) + "=" + d.Value))
	}
	until := d.Expires.Add(time.Second - 1).Unix() // rounded up
	value = fmt.Sprintf("%d:%s:", until, d.ID)
	switch d.Action {
	case decision.Limit:
		if file = limitName; ip {
			file = limitIP
		}
		return file, key, value + rate(d.Rate)
	case decision.Challenge:
		value += fmt.Sprintf("%d:challenge", d.Status)
	default:
		value += "403:block"
	}
	if file = refuseName; ip {
		file = refuseIP
	}
	return file, key, value
}

// rate returns "allowed:seconds:retry": how many requests within the shortest measured period that is not below the limit's, that
// period, and what to say in Retry-After.
func rate(r *decision.Rate) string {
	ps := periods()
	p := ps[len(ps)-1]
	for _, q := range ps {
		if q >= r.Per {
			p = q
			break
		}
	}
	allowed := max(1, int64(min(maxAllowed, float64(r.Requests)*float64(p)/float64(r.Per)+0.5)))
	retry := int64(1 + (float64(r.Per)/float64(r.Requests))/float64(time.Second))
	return fmt.Sprintf("%d:%d:%d", allowed, int64(p/time.Second), min(retry, int64(p/time.Second)))
}
