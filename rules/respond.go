package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

// respond reads one answer of the rule.
func (b *builder) respond(i int, raw respondYAML) {
	key := fmt.Sprintf("respond[%d]", i)
	if i >= 8 {
		b.fail(key, scalar{node: raw.node}, "limit is 8 answers")
		return
	}
	r := alert.Response{Action: string(decision.Block)}
	var scope, ttl scalar
	if raw.Block != nil {
		scope, ttl = raw.Block.Scope, raw.Block.TTL
	} else {
		r.Action = string(decision.Limit)
		scope, ttl = raw.Limit.Scope, raw.Limit.TTL
		b.rate(key, raw.Limit, &r)
	}
	if !ttl.set() {
		b.fail(key, scalar{node: raw.node}, "ttl is missing: every decision must expire; write for example ttl: 15m")
	}
	r.TTL = b.duration(key+".ttl", ttl, time.Second, MaxTTL)
	r.Scope = b.scope(key+".scope", scope, raw)
	b.rule.Respond = append(b.rule.Respond, r)
}

// scope checks that the gateway knows such an entity and that the rule names one.
func (b *builder) scope(key string, v scalar, raw respondYAML) string {
	if !v.set() {
		v.node = raw.node
	}
	switch s := decision.Scope(v.Value); {
	case s != decision.Address && s != decision.Principal:
		b.fail(key, v, "unknown scope %.40q: want %s or %s", v.Value, decision.Address, decision.Principal)
	case !slices.Contains(b.rule.GroupBy, v.Value):
		b.fail(key, v, "%s is not in group_by: the alert would not name whom to act on", v.Value)
	}
	return v.Value
}

// rate reads "10/s", "100/min", "1000/h" and the burst, which is the rate's number when it is not written.
func (b *builder) rate(key string, raw *limitYAML, r *alert.Response) {
	n, unit, _ := strings.Cut(raw.Rate.Value, "/")
	var err error
	r.Requests, err = strconv.Atoi(strings.TrimSpace(n))
	switch strings.TrimSpace(unit) {
	case "s":
		r.Per = time.Second
	case "m", "min":
		r.Per = time.Minute
	case "h":
		r.Per = time.Hour
	}
	if err != nil || r.Per == 0 || r.Requests < 1 || r.Requests > 1_000_000 {
		v := raw.Rate
		if !v.set() {
			v = raw.Scope
		}
		b.fail(key+".rate", v, "want a number of requests and a unit: 10/s, 100/m or 1000/h")
	}
	r.Burst = r.Requests
	if raw.Burst.set() {
		if r.Burst, err = strconv.Atoi(raw.Burst.Value); err != nil || r.Burst < 1 || r.Burst > 1_000_000 {
			b.fail(key+".burst", raw.Burst, "want 1 to 1000000 requests")
		}
	}
}
