package synthetic

import (
	"strconv"
	"strings"
	"time"

	"github.com/warder/warder/internal/event"
)

// Who may call a route.
const (
	public   = iota // anybody
	member          // somebody with a token
	machine         // partners' programs
	admin           // members with the role
	llm             // members whose tenant may ask language models
	internal        // probes
)

// route is one of an API's, with the medians of what its requests look like.
type route struct {
	api, method, template string
	weight                float64
	access                uint8
	took                  time.Duration
	request, response     float64 // bytes
	query                 uint8
	version               string
	segments              []segment
}

// segment is a fixed part of a template, and the name of the parameter behind it.
type segment struct{ text, param string }

// The kinds of query strings.
const (
	noQuery = iota
	pages
	searches
	spans
	fields
)

// routes lists what four APIs offer: about sixty routes. The shop's list and pictures of products are most of the traffic.
func routes() []route {
	const ms = time.Millisecond
	r := func(api, methodPath string, weight float64, access uint8, took time.Duration, request, response float64, query uint8) route {
		method, template, _ := strings.Cut(methodPath, " ")
		return route{api: api, method: method, template: template, weight: weight, access: access, took: took, request: request, response: response, query: query}
	}
	return []route{
		r("shop", "GET /v1/products", 120, public, 18*ms, 0, 9000, pages),
		r("shop", "GET /v1/products/{product}", 150, public, 7*ms, 0, 2600, noQuery),
		r("shop", "GET /v1/products/{product}/images/{image}", 190, public, 4*ms, 0, 38000, noQuery),
		r("shop", "GET /v1/products/{product}/reviews", 60, public, 12*ms, 0, 5200, pages),
		r("shop", "POST /v1/products/{product}/reviews", 2, member, 25*ms, 700, 350, noQuery),
		r("shop", "GET /v1/search", 70, public, 45*ms, 0, 11000, searches),
		r("shop", "GET /v1/search/suggestions", 80, public, 9*ms, 0, 600, searches),
		r("shop", "GET /v1/categories", 30, public, 5*ms, 0, 3100, noQuery),
		r("shop", "GET /v1/categories/{category}/products", 45, public, 20*ms, 0, 8700, pages),
		r("shop", "GET /v1/cart", 70, member, 8*ms, 0, 1500, noQuery),
		r("shop", "POST /v1/cart/items", 25, member, 14*ms, 160, 1700, noQuery),
		r("shop", "PATCH /v1/cart/items/{item}", 10, member, 13*ms, 90, 1700, noQuery),
		r("shop", "DELETE /v1/cart/items/{item}", 6, member, 11*ms, 0, 0, noQuery),
		r("shop", "POST /v1/orders", 7, member, 120*ms, 1200, 1900, noQuery),
		r("shop", "GET /v1/orders", 28, member, 22*ms, 0, 6400, pages),
		r("shop", "GET /v1/orders/{order}", 34, member, 10*ms, 0, 2200, noQuery),
		r("shop", "POST /v1/orders/{order}/cancel", 0.8, member, 60*ms, 80, 300, noQuery),
		r("shop", "GET /v1/orders/{order}/invoice", 5, member, 140*ms, 0, 72000, noQuery),
		r("shop", "POST /v1/payments", 7, member, 420*ms, 900, 500, noQuery),
		r("shop", "GET /v1/payments/{document}", 8, member, 15*ms, 0, 800, noQuery),
		r("shop", "POST /v1/vouchers/redeem", 2, member, 30*ms, 60, 260, noQuery),
		r("shop", "GET /v1/wishlist", 14, member, 9*ms, 0, 2400, noQuery),
		r("shop", "PUT /v1/wishlist/{product}", 4, member, 10*ms, 20, 120, noQuery),
		r("shop", "GET /v2/products", 22, public, 12*ms, 0, 7000, fields),
		r("shop", "GET /v2/products/{product}", 26, public, 6*ms, 0, 2300, fields),
		r("shop", "POST /graphql", 24, member, 35*ms, 1400, 4800, noQuery),
		r("shop", "GET /healthz", 10, internal, ms/2, 0, 2, noQuery),

		r("accounts", "POST /v1/auth/login", 9, public, 95*ms, 110, 1300, noQuery),
		r("accounts", "POST /v1/auth/refresh", 30, public, 12*ms, 240, 1300, noQuery),
		r("accounts", "POST /v1/auth/logout", 4, member, 6*ms, 0, 0, noQuery),
		r("accounts", "POST /v1/auth/register", 1.5, public, 160*ms, 300, 700, noQuery),
		r("accounts", "POST /v1/auth/password-reset", 0.8, public, 40*ms, 70, 60, noQuery),
		r("accounts", "POST /v1/auth/mfa/verify", 3, public, 30*ms, 50, 1300, noQuery),
		r("accounts", "GET /.well-known/jwks.json", 6, public, 2*ms, 0, 1600, noQuery),
		r("accounts", "GET /v1/me", 60, member, 6*ms, 0, 900, noQuery),
		r("accounts", "PATCH /v1/me", 1.5, member, 25*ms, 400, 900, noQuery),
		r("accounts", "GET /v1/users/{user}", 22, member, 8*ms, 0, 1100, fields),
		r("accounts", "GET /v1/users/{user}/addresses", 10, member, 9*ms, 0, 800, noQuery),
		r("accounts", "POST /v1/users/{user}/addresses", 1, member, 18*ms, 260, 300, noQuery),
		r("accounts", "GET /v1/notifications", 45, member, 9*ms, 0, 1800, pages),
		r("accounts", "GET /v1/admin/users", 2, admin, 60*ms, 0, 14000, pages),
		r("accounts", "PUT /v1/admin/users/{user}/roles", 0.3, admin, 30*ms, 60, 200, noQuery),
		r("accounts", "DELETE /v1/admin/users/{user}", 0.1, admin, 50*ms, 0, 0, noQuery),
		r("accounts", "GET /v1/admin/audit", 0.6, admin, 180*ms, 0, 26000, spans),

		r("partner", "GET /v1/stock", 60, machine, 16*ms, 0, 12000, pages),
		r("partner", "GET /v1/stock/{product}", 50, machine, 5*ms, 0, 400, noQuery),
		r("partner", "PUT /v1/stock/{product}", 40, machine, 14*ms, 180, 60, noQuery),
		r("partner", "POST /v1/stock/batch", 9, machine, 240*ms, 48000, 900, noQuery),
		r("partner", "GET /v1/orders", 30, machine, 40*ms, 0, 31000, spans),
		r("partner", "GET /v1/orders/{order}", 34, machine, 9*ms, 0, 2600, noQuery),
		r("partner", "POST /v1/orders/{order}/shipments", 8, machine, 45*ms, 600, 500, noQuery),
		r("partner", "POST /v1/webhooks/payments", 9, machine, 22*ms, 1500, 20, noQuery),
		r("partner", "GET /v1/reports/{document}", 2, machine, 700*ms, 0, 190000, noQuery),
		r("partner", "POST /v1/exports", 0.6, machine, 90*ms, 300, 240, spans),

		r("ai", "POST /v1/chat/completions", 30, llm, 0, 3800, 1900, noQuery),
		r("ai", "POST /v1/completions", 3, llm, 0, 2400, 1500, noQuery),
		r("ai", "POST /v1/embeddings", 14, llm, 60*ms, 2900, 24000, noQuery),
		r("ai", "GET /v1/models", 3, llm, 4*ms, 0, 1800, noQuery),
		r("ai", "POST /v1/assistants/{document}/messages", 8, llm, 0, 1500, 2100, noQuery),
		r("ai", "GET /v1/assistants/{document}/messages", 9, llm, 15*ms, 0, 7200, pages),
	}
}

// api is the routes and who draws from which.
type api struct {
	routes []route
	by     [internal + 1]alias // access of the caller
	words  []string
}

func newAPI() api {
	a := api{routes: routes(), words: strings.Fields("shoes jacket lamp red blue summer winter wool leather kids desk chair running garden small large oak gift sale new")}
	for i := range a.routes {
		r := &a.routes[i]
		r.version = "v1"
		if strings.HasPrefix(r.template, "/v2/") {
			r.version = "v2"
		}
		r.segments = cut(r.template)
	}
	for who := range a.by {
		a.by[who] = newAlias(a.weights(uint8(who)))
	}
	return a
}

// weights tells how often a caller of a kind asks for each route.
func (a *api) weights(who uint8) []float64 {
	out := make([]float64, len(a.routes))
	for i, r := range a.routes {
		mine := r.access == who
		switch who {
		case member:
			mine = mine || r.access == public
		case admin:
			mine = mine || r.access == public || r.access == member
		case llm:
			mine = mine || r.access == public || r.access == member
		case internal:
			mine = mine || r.template == "/v1/products"
		}
		if mine {
			out[i] = r.weight
		}
	}
	return out
}

func cut(template string) []segment {
	var out []segment
	for template != "" {
		before, rest, found := strings.Cut(template, "{")
		s := segment{text: before}
		if found {
			s.param, rest, _ = strings.Cut(rest, "}")
		}
		out, template = append(out, s), rest
	}
	return out
}

// path fills in the parameters of a route's template.
func (t *Traffic) path(r *route, at time.Time, u *user) string {
	if len(r.segments) == 1 && r.segments[0].param == "" {
		return r.template
	}
	var buf [128]byte
	b := buf[:0]
	for _, s := range r.segments {
		b = append(b, s.text...)
		b = t.param(b, s.param, at, u)
	}
	return string(b)
}

// param appends a value. Few products are asked for often; orders are numbered in their order.
func (t *Traffic) param(b []byte, name string, at time.Time, u *user) []byte {
	x := t.rnd.Float64()
	switch name {
	case "product":
		return strconv.AppendInt(b, 1000+int64(x*x*x*20000), 10)
	case "image":
		b = strconv.AppendInt(b, 1+int64(x*6), 10)
		return append(b, ".webp"...)
	case "category", "item":
		return strconv.AppendInt(b, 1+int64(x*x*80), 10)
	case "order":
		return strconv.AppendInt(b, at.Unix()/40-int64(x*x*100000), 10)
	case "document":
		n := mix(uint64(x * 50000))
		return append(b, uuidOf(n, mix(n))...)
	case "user":
		if u != nil && t.rnd.IntN(10) < 8 {
			return append(b, u.principal.ID...)
		}
		return append(b, t.people.users[int(x*x*float64(len(t.people.users)))].principal.ID...)
	}
	return b
}

func (t *Traffic) query(kind uint8, at time.Time) string {
	var buf [96]byte
	b := buf[:0]
	x := t.rnd.Float64()
	switch kind {
	case pages:
		if x < 0.35 {
			return ""
		}
		b = append(b, "page="...)
		b = strconv.AppendInt(b, 1+int64(x*x*x*30), 10)
		b = append(b, "&per_page=50"...)
	case searches:
		b = append(b, "q="...)
		b = append(b, t.api.words[int(x*x*float64(len(t.api.words)))]...)
		if t.rnd.IntN(2) == 0 {
			b = append(b, '+')
			b = append(b, t.api.words[t.rnd.IntN(len(t.api.words))]...)
		}
	case spans:
		b = append(b, "from="...)
		b = at.AddDate(0, 0, -1-int(x*x*30)).AppendFormat(b, time.DateOnly)
		b = append(b, "&to="...)
		b = at.AppendFormat(b, time.DateOnly)
	case fields:
		if x < 0.6 {
			return ""
		}
		return "fields=id,name,price"
	}
	return string(b)
}

// host is where an API is.
func host(api string) string {
	switch api {
	case "shop":
		return "api.example.com"
	case "accounts":
		return "accounts.example.com"
	case "partner":
		return "partners.example.com"
	}
	return "ai.example.com"
}

// called says where the event went.
func (t *Traffic) called(e *event.Event, r *route, u *user) {
	e.API = event.API{Route: r.template, Version: r.version, Name: r.api}
	e.Request.Method, e.Request.Host, e.Request.Path = r.method, host(r.api), t.path(r, e.Time, u)
	e.Request.Query = t.query(r.query, e.Time)
	if r.request > 0 {
		e.Request.Size = int64(logNormal(t.rnd, r.request, 0.4))
	}
}

// route returns the one with the template.
func (t *Traffic) route(method, template string) *route {
	for i := range t.api.routes {
		if r := &t.api.routes[i]; r.method == method && r.template == template {
			return r
		}
	}
	return nil
}
