package apipark

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/warder/warder/enforcer/push/adminapi"
	"github.com/warder/warder/internal/decision"
)

// own begins the names of Warder's strategies.
const own = "warder_"

// strategy is a strategy as the admin API takes it: the driver visit refuses, the driver limiting counts.
type strategy struct {
	Driver      string              `json:"driver"`
	Description string              `json:"description"`
	Priority    int                 `json:"priority"` // 1 goes first
	Filters     map[string][]string `json:"filters"`
	Visit       *visit              `json:"visit,omitempty"`
	Limiting    *limiting           `json:"limiting,omitempty"`
}

type visit struct {
	Rule string `json:"visit_rule"`
}

type limiting struct {
	Metrics  []string  `json:"metrics"` // what is counted apart
	Query    threshold `json:"query"`
	Traffic  threshold `json:"traffic"`
	Response response  `json:"response"`
}

// threshold is how many within a second, minute, hour; 0 is no limit.
type threshold struct {
	Second int64 `json:"second"`
	Minute int64 `json:"minute"`
	Hour   int64 `json:"hour"`
}

type response struct {
	Status  int      `json:"status_code"`
	Type    string   `json:"content_type"`
	Charset string   `json:"charset"`
	Headers []header `json:"header"`
	Body    string   `json:"body"`
}

type header struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// filters are what strategies call the scopes that they can tell apart.
var filters = map[decision.Scope]string{decision.Address: "ip", decision.CIDR: "ip", decision.Principal: "application"}

// plain is a value that a filter compares as it is. Apinto (strategy/filter.go, checker) takes values with *, =, !, ~, ^ and others for
// patterns, and "*" for everybody; a client can choose its name.
var plain = regexp.MustCompile(`^[A-Za-z0-9._@:-]+$`)

// filterValue is the decision's value as a filter takes it. Single addresses are compared as text, whose spelling clients may choose for IPv6;
// prefixes by number.
func filterValue(d *decision.Decision) string {
	if a, err := netip.ParseAddr(d.Value); err == nil && d.Scope == decision.Address {
		return netip.PrefixFrom(a, a.BitLen()).String()
	}
	return d.Value
}

// Supports tells why strategies cannot express a decision.
func (g *Gateway) Supports(d *decision.Decision) error {
	switch {
	case len(d.And) > 0 || filters[d.Scope] == "":
		return errors.New("only decisions about one address, CIDR or principal (an application's id) can be expressed at APIPark")
	case d.Scope == decision.Principal && !plain.MatchString(d.Value):
		return errors.New("APIPark would read the principal as a pattern, which may match everybody: its id has more than letters, digits and . _ @ : -")
	case d.Action == decision.Block:
		return nil
	case d.Action == decision.Limit && d.Scope == decision.CIDR:
		return errors.New("APIPark counts each address of a CIDR apart, so a limit of all of them cannot be expressed")
	case d.Action == decision.Limit && d.Rate.Per != time.Second && d.Rate.Per != time.Minute && d.Rate.Per != time.Hour:
		return errors.New("APIPark limits by the second, the minute or the hour")
	case d.Action == decision.Limit:
		return nil
	}
	return errors.New("APIPark knows blocks and limits only")
}

// strategies returns, by name, what expresses the decisions: one strategy refuses addresses, one applications, and each limit is one.
func strategies(want []*decision.Decision) (map[string]strategy, error) {
	refused := map[string][]string{}
	out := map[string]strategy{}
	for _, d := range want {
		if d.Action == decision.Block {
			refused[filters[d.Scope]] = append(refused[filters[d.Scope]], filterValue(d))
			continue
		}
		out[own+"limit_"+d.ID] = limit(d)
	}
	for filter, values := range refused {
		slices.Sort(values)
		values = slices.Compact(values)
		if len(values) > adminapi.MaxNetworks {
			return nil, fmt.Errorf("%d values for the filter %q, limit is %d: each request is compared with all of them", len(values), filter, adminapi.MaxNetworks)
		}
		out[own+"refuse_"+filter] = strategy{Driver: "visit", Description: "kept by Warder", Priority: 1,
			Filters: map[string][]string{filter: values}, Visit: &visit{Rule: "refuse"}}
	}
	return out, nil
}

func limit(d *decision.Decision) strategy {
	l := &limiting{Metrics: []string{"{" + filters[d.Scope] + "}"}, Response: response{Status: http.StatusTooManyRequests,
		Type: "application/json", Charset: "utf-8", Body: `{"error":"limited","decision":"` + d.ID + `"}`,
		Headers: []header{{"Retry-After", strconv.FormatInt(int64(d.Rate.Per/time.Second), 10)}}}}
	switch n := int64(d.Rate.Requests); d.Rate.Per {
	case time.Second:
		l.Query.Second = n
	case time.Minute:
		l.Query.Minute = n
	default:
		l.Query.Hour = n
	}
	return strategy{Driver: "limiting", Description: "kept by Warder", Priority: 1, Filters: map[string][]string{filters[d.Scope]: {filterValue(d)}}, Limiting: l}
}
