package historytest

import (
	"testing"
	"time"

	"github.com/warder/warder/internal/history"
)

func (s *suite) entity(t *testing.T) {
	for _, c := range []struct {
		id                history.EntityID
		span              history.Span
		want              history.Entity // without tops and links
		top               map[string]string
		alerts, decisions []string
	}{
		{
			history.EntityID{Kind: history.Address, Value: attacker}, history.Span{},
			history.Entity{First: s.start, Last: s.start.Add(6 * time.Minute), Country: "DE", ASN: 64500, Requests: 7, Denied: 6, Writes: 7, Bytes: 700,
				Distinct: history.EntityDistinct{Routes: 1, Addresses: 1, Principals: 1}, Timeline: []history.Bucket{{Time: s.start, Count: 7, Denied: 6}}},
			map[string]string{"api.route": "/login", "response.code": "401", "source.address": attacker, "principal.id": "alice",
				"request.user_agent": "agent-" + attacker, "source.country": "DE"},
			[]string{stuffing}, []string{blocked},
		},
		{
			// Within the hour: figures are of the whole one.
			history.EntityID{Kind: history.Address, Value: "::ffff:" + scraper}, history.Span{Since: s.at(2.5), Until: s.at(2.75)},
			history.Entity{EntityID: history.EntityID{Kind: history.Address, Value: scraper}, Span: history.Span{Since: s.at(2), Until: s.at(3)},
				First: s.at(2), Last: s.at(2).Add(4 * time.Minute), Requests: 5, Bytes: 500,
				Distinct: history.EntityDistinct{Routes: 1, Addresses: 1}, Timeline: []history.Bucket{{Time: s.at(2), Count: 5}}},
			map[string]string{"api.route": "/items/{id}", "response.code": "200", "source.address": scraper, "request.user_agent": "agent-" + scraper},
			[]string{scraping}, nil,
		},
		{
			history.EntityID{Kind: history.Principal, Value: "bob"}, history.Span{},
			history.Entity{First: s.at(26), Last: s.at(26).Add(time.Second), Requests: 2, Denied: 1, Errors: 1, Refused: 1, Bytes: 200,
				Distinct: history.EntityDistinct{Routes: 1, Addresses: 1, Principals: 1},
				Timeline: []history.Bucket{{Time: s.at(26), Count: 2, Denied: 1, Errors: 1, Refused: 1}}},
			map[string]string{"api.route": "/orders", "response.code": "403", "source.address": sixth, "principal.id": "bob", "request.user_agent": "agent-" + sixth},
			[]string{stealing}, []string{held},
		},
		{
			history.EntityID{Kind: history.Tenant, Value: "t1"}, history.Span{Since: s.at(20)},
			history.Entity{Span: history.Span{Since: s.at(20)}, First: s.at(26), Last: s.at(26).Add(time.Second), Requests: 2, Denied: 1, Errors: 1, Refused: 1,
				Bytes: 200, Distinct: history.EntityDistinct{Routes: 1, Addresses: 1, Principals: 1},
				Timeline: []history.Bucket{{Time: s.at(26), Count: 2, Denied: 1, Errors: 1, Refused: 1}}},
			map[string]string{"api.route": "/orders", "response.code": "403", "source.address": sixth, "principal.id": "bob", "request.user_agent": "agent-" + sixth},
			nil, nil,
		},
		{
			// A decision is known of it, and nothing else.
			history.EntityID{Kind: history.Address, Value: "203.0.113.99"}, history.Span{}, history.Entity{}, nil, nil, []string{personal},
		},
	} {
		got, err := s.Reader.Entity(t.Context(), c.id, c.span)
		if err != nil {
			t.Errorf("%v: %v", c.id, err)
			continue
		}
		if c.want.EntityID.Value == "" {
			c.want.EntityID = c.id
		}
		same(t, c.id.Value+": tops", c.top, first(got.Top))
		same(t, c.id.Value+": alerts", c.alerts, alertIDs(got.Alerts))
		same(t, c.id.Value+": decisions", c.decisions, decisionIDs(got.Decisions))
		got.Top, got.Alerts, got.Decisions = nil, nil, nil
		same(t, c.id.Value, &c.want, got)
	}
}

// first keeps the most frequent value of each field.
func first(top map[string][]history.Count) map[string]string {
	out := map[string]string{}
	for field, counts := range top {
		out[field] = counts[0].Value
	}
	return out
}

func (s *suite) entityUnknown(t *testing.T) {
	for _, c := range []struct {
		id   history.EntityID
		span history.Span
		want error
	}{
		{history.EntityID{Kind: history.Address, Value: "192.0.2.1"}, history.Span{}, history.ErrNotFound},
		{history.EntityID{Kind: history.Principal, Value: "' OR 1=1 --"}, history.Span{}, history.ErrNotFound},
		{history.EntityID{Kind: history.Tenant, Value: "bob"}, history.Span{}, history.ErrNotFound},
		{history.EntityID{Kind: history.Address, Value: attacker}, history.Span{Since: s.at(30)}, history.ErrNotFound},
		{history.EntityID{Kind: history.Address, Value: "example.com"}, history.Span{}, history.ErrQuestion},
		{history.EntityID{Kind: history.Address, Value: "fe80::1%eth0"}, history.Span{}, history.ErrQuestion},
		{history.EntityID{Kind: history.Principal}, history.Span{}, history.ErrQuestion},
		{history.EntityID{Kind: "planet", Value: "x"}, history.Span{}, history.ErrQuestion},
		{history.EntityID{Kind: history.Principal, Value: string(make([]byte, 2000))}, history.Span{}, history.ErrQuestion},
	} {
		_, err := s.Reader.Entity(t.Context(), c.id, c.span)
		fails(t, c.id.Kind+" "+c.id.Value[:min(20, len(c.id.Value))], err, c.want)
	}
}
