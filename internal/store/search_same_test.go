package store_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/warder/warder/internal/celsql"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/store/storetest"
	"github.com/warder/warder/rules"
)

// compile is the filter compiler that the program wires.
func compile(text string) (celsql.Filter, error) { return rules.CompileFilter(rules.Options{}, text) }

// strange are texts that SQL, parameters, patterns and CEL may see differently.
func strange() []string {
	return []string{"", "a", "A", "GET", "get", "/a", "/a/b", "/items/17", "admin", "u1", "a\nb", "a\x00b", "a\tb\\c", `a'b"c`, "a%b_c", "\u212aelvin", "ſs",
		"straße", "STRASSE", "é", "e\u0301", "日本", "a b", "..%2f", "203.0.113.9", "12", "-3", "\ufffd", "{p0:String}", "NULL", `\N`, "𝒳", "x\r\n"}
}

func addresses() []netip.Addr {
	var out []netip.Addr
	for _, a := range []string{"203.0.113.9", "203.0.113.10", "10.0.0.1", "0.0.0.0", "255.255.255.255", "127.0.0.1", "::1", "2001:db8::1", "2001:db8:0:1::",
		"fe80::1", "::102:304", "::1:0", "::ffff:1:2:3", "::2:0:0:0", "1:0:0:2:0:0:0:3", "ffff::", "::ffff:203.0.113.9", "0:0:1::", "1::1:0:0:1"} {
		out = append(out, netip.MustParseAddr(a))
	}
	return append(out, netip.Addr{}, netip.IPv6Unspecified())
}

func numbers() []int64 {
	return []int64{0, 1, -1, 2, 3, 200, 401, 443, 1500, 1 << 31, -1 << 31, 1<<63 - 1, -1 << 63, 1 << 53, 3600e9 - 1, 3600e9, 65536}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// oddEvent is an event with a random value in each field.
func oddEvent(r *rand.Rand, seq uint64, start time.Time) *event.Event {
	text := func() string { return pick(r, strange()) }
	texts := func() (out []string) {
		for range r.IntN(3) {
			out = append(out, text())
		}
		return out
	}
	table := func() map[string]string {
		out := map[string]string{}
		for range r.IntN(3) {
			out[pick(r, []string{"accept", "x", "a'b", ""})] = text()
		}
		return out
	}
	num := func() int64 { return pick(r, numbers()) }
	return &event.Event{
		ID: event.NewID("odd", seq), Tap: "odd", Seq: seq, Time: start.Add(time.Duration(r.Int64N(int64(20 * time.Hour)))),
		Request: event.RequestInfo{ID: text(), Method: text(), Scheme: text(), Protocol: text(), Host: text(), Path: text(), Query: text(), UserAgent: text(),
			Referer: text(), Headers: table(), Size: num(), Duration: time.Duration(num())},
		Response:  event.ResponseInfo{Code: int(int32(num())), Size: num(), ContentType: text()},
		Source:    event.Source{Address: pick(r, addresses()), Port: uint16(num()), Peer: pick(r, addresses()), Country: text(), ASN: uint32(num())},
		Principal: event.Principal{ID: text(), Type: text(), Tenant: text(), Roles: texts()},
		Auth:      event.Auth{Outcome: text(), Reason: text()}, API: event.API{Route: text(), Version: text(), Name: text()},
		TLS: event.TLS{Version: text(), SNI: text(), Fingerprint: text()}, LLM: event.LLM{Model: text(), PromptTokens: num(), CompletionTokens: num()},
		Enforced: event.Enforced{By: text(), Action: text()}, WAF: event.WAF{Score: num(), Rules: texts()}, Intel: event.Intel{Lists: texts()}, Ext: table(),
	}
}

// filters makes random filters. depth bounds how deep they nest.
type filters struct{ r *rand.Rand }

func (g filters) quoted() string { return strconv.Quote(pick(g.r, strange())) }

func (g filters) text(depth int) string {
	fields := []string{"event.tap", "request.id", "request.method", "request.path", "request.query", "request.uri", "request.useragent", "response.content_type",
		"source.country", "principal.id", "principal.tenant", "auth.outcome", "api.route", "api.name", "enforced.by", "enforced.action", "source.address", "source.peer",
		"request.headers.accept", `request.headers["x"]`, `request.headers[request.method]`, `ext["a'b"]`, "principal.roles[0]", "waf.rules[1]", "request.header_values"}
	if depth <= 0 || g.r.IntN(3) > 0 {
		return pick(g.r, fields)
	}
	switch g.r.IntN(8) {
	case 0:
		return g.text(depth-1) + ".lowerAscii()"
	case 1:
		return g.text(depth-1) + ".upperAscii()"
	case 2:
		return "(" + g.text(depth-1) + " + " + g.text(depth-1) + ")"
	case 3:
		return `request.headers[?"accept"].orValue(` + g.quoted() + ")"
	case 4:
		return "request.headers.?x.orValue(" + g.text(0) + ")"
	case 5:
		return "string(" + g.number(depth-1) + ")"
	case 6:
		return "decode(" + g.text(0) + ")"
	}
	return g.quoted()
}

func (g filters) number(depth int) string {
	if depth <= 0 || g.r.IntN(3) > 0 {
		return pick(g.r, []string{"request.size", "response.code", "response.size", "source.port", "source.asn", "llm.prompt_tokens", "waf.score",
			strconv.FormatInt(pick(g.r, numbers()), 10)})
	}
	switch g.r.IntN(4) {
	case 0:
		return "size(" + pick(g.r, []string{g.text(depth - 1), "principal.roles", "ext", "request.headers"}) + ")"
	case 1:
		return "event.time." + pick(g.r, []string{"getHours", "getMinutes", "getSeconds", "getMilliseconds", "getDayOfWeek", "getDayOfMonth", "getDate", "getDayOfYear",
			"getMonth", "getFullYear"}) + "()"
	case 2:
		return "request.duration." + pick(g.r, []string{"getHours", "getMinutes", "getSeconds", "getMilliseconds"}) + "()"
	}
	return "(" + g.number(depth-1) + " " + pick(g.r, []string{"+", "-", "*", "/", "%"}) + " " + g.number(depth-1) + ")"
}

func (g filters) pattern() string {
	atoms := []string{"a", "A", ".", "^", "$", "(?i)get", "(?s).", "(?m)^b", `\d+`, `\w`, `\s`, `[^a]`, `[[:alpha:]]`, `\pL`, "(?i)k", "(?i)ß", "x*", "(a|b)+", `\bb\b`, `\x00`, "é",
		`(?i:ADMIN)`, `\Q%\E`, `.{2,3}`, `(?P<n>u)1`, `a.b`, `/items/\d+$`, `\z`, "|", `(?i)s{2}`, `[\x{212a}]`, "^$", `(?-s).$`, "(?i)(straße)", `(?i)[a-f]`, `a(?i)B(?-i)`, "(?U)a+", `\.`, `\\`,
		"(ab)?c?", `[^\n]*b`, "(?:)", `\PL`}
	out := ""
	for range 1 + g.r.IntN(3) {
		out += pick(g.r, atoms)
	}
	return strconv.Quote(out)
}

func (g filters) address() string {
	a := pick(g.r, addresses()).String()
	return strconv.Quote(pick(g.r, []string{a, a, strings.ToUpper(a), "", "203.0.113.009", "::", "fe80::1%eth0", "203.0.113"}))
}

func (g filters) list(item func() string) string {
	var out []string
	for range 1 + g.r.IntN(3) {
		out = append(out, item())
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func (g filters) compare() string { return pick(g.r, []string{"==", "!=", "<", "<=", ">", ">="}) }

func (g filters) condition(depth int) string {
	if depth > 0 && g.r.IntN(3) > 0 {
		switch g.r.IntN(5) {
		case 0:
			return "!(" + g.condition(depth-1) + ")"
		case 1:
			return "(" + g.condition(depth-1) + " ? " + g.condition(depth-1) + " : " + g.condition(depth-1) + ")"
		case 2:
			return "(" + g.condition(depth-1) + " || " + g.condition(depth-1) + ")"
		}
		return "(" + g.condition(depth-1) + " && " + g.condition(depth-1) + ")"
	}
	addr := pick(g.r, []string{"source.address", "source.peer"})
	switch g.r.IntN(17) {
	case 0, 1:
		return g.text(depth) + " " + g.compare() + " " + g.quoted()
	case 2:
		return g.text(depth) + " " + g.compare() + " " + g.text(depth)
	case 3, 4:
		return g.number(depth) + " " + g.compare() + " " + g.number(depth)
	case 5:
		return g.text(depth) + "." + pick(g.r, []string{"contains", "startsWith", "endsWith"}) + "(" + pick(g.r, []string{g.quoted(), g.text(0)}) + ")"
	case 6:
		return g.text(depth) + ".matches(" + g.pattern() + ")"
	case 7:
		return g.text(depth) + " in " + pick(g.r, []string{g.list(g.quoted), "principal.roles", "request.headers", "ext", "waf.rules"})
	case 8:
		return g.number(depth) + " in " + g.list(func() string { return strconv.FormatInt(pick(g.r, numbers()), 10) })
	case 9:
		return addr + " " + g.compare() + " " + g.address()
	case 10:
		return addr + " in " + g.list(g.address)
	case 11:
		return "cidr(" + strconv.Quote(pick(g.r, []string{"10.0.0.0/8", "203.0.113.9/31", "0.0.0.0/0", "::/0", "::/96", "::/1", "2001:db8::/32", "::/64", "fe80::1/128", "::fffe:0:0/95"})) +
			").containsIP(" + pick(g.r, []string{addr, "ip(" + addr + ")"}) + ")"
	case 12:
		return pick(g.r, []string{"has(request.headers.accept)", "isIP(source.address)", `request.headers[?"x"].hasValue()`, "true", "false", `principal.roles.exists(x, x == "a")`})
	case 13:
		return "request.duration " + g.compare() + " duration(" + strconv.Quote(pick(g.r, []string{"0s", "1h", "-1ns", "1500ms", "200ns"})) + ")"
	case 14:
		at := []string{noon().Format(time.RFC3339Nano), noon().Add(90 * time.Minute).Format(time.RFC3339), "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z"}
		return "event.time " + g.compare() + " timestamp(" + strconv.Quote(pick(g.r, at)) + ")"
	case 15:
		return pick(g.r, []string{"sets.contains", "sets.intersects"}) + "(principal.roles, " + g.list(g.quoted) + ")"
	}
	return addr + pick(g.r, []string{" == source.peer", " < source.peer", ".startsWith(\"203.\")", ".matches(\"^::\")", ".size() == 11"})
}

// filter makes one that compiles: comparisons that are always false, for example, are refused.
func (g filters) filter(t *testing.T) (string, celsql.Filter) {
	var err error
	for range 100 {
		text := g.condition(1 + g.r.IntN(3))
		var f celsql.Filter
		if f, err = compile(text); err == nil {
			return text, f
		}
	}
	t.Fatal("100 filters in a row are refused", err)
	return "", nil
}

// TestSQLSaysWhatGoSays compares the answers of ClickHouse with those of the rule engine for random filters over random events;
// WARDER_FILTERS says how many.
func TestSQLSaysWhatGoSays(t *testing.T) {
	const events = 300
	rounds := 500
	if n, err := strconv.Atoi(os.Getenv("WARDER_FILTERS")); err == nil {
		rounds = n
	}
	cfg := storetest.Config(t)
	s := storetest.OpenConfig(t, cfg)
	r := rand.New(rand.NewPCG(uint64(rounds), 2))
	var all []*event.Event
	var ids []event.ID
	for i := range uint64(events) {
		all = append(all, oddEvent(r, i+1, noon().Add(-6*time.Hour)))
		ids = append(ids, all[i].ID)
	}
	if err := s.InsertEvents(t.Context(), 0, all); err != nil {
		t.Fatal(err)
	}
	held, err := s.EventsByID(t.Context(), ids) // as the table has them
	if err != nil || len(held) != events {
		t.Fatalf("%d events, %v", len(held), err)
	}
	conn := storetest.Conn(t, cfg)
	g := filters{r}
	exact, useful := 0, 0
	for range rounds {
		text, f := g.filter(t)
		q := celsql.Translate(f.AST(), celsql.Events(), "p")
		var want []uint64
		for _, e := range held {
			if ok, _ := f.Match(e); ok {
				want = append(want, e.Seq)
			}
		}
		got, err := keeps(t, conn, q)
		if err != nil {
			t.Errorf("%s\n%s\n%v", text, strings.Join(q.Where, "\n"), err)
			continue
		}
		if q.Exact() {
			exact++
		}
		if len(want) > 0 && len(want) < events {
			useful++
		}
		for _, seq := range want {
			if !slices.Contains(got, seq) {
				t.Errorf("%s\n%s\nevent %d holds in Go, and SQL leaves it out: %+v", text, strings.Join(q.Where, "\n"), seq, all[seq-1])
				break
			}
		}
		for _, seq := range got {
			if q.Exact() && !slices.Contains(want, seq) {
				t.Errorf("%s\n%s\nevent %d does not hold in Go, and SQL keeps it: %+v", text, strings.Join(q.Where, "\n"), seq, all[seq-1])
				break
			}
		}
	}
	if exact < rounds/2 || useful < rounds/4 {
		t.Errorf("of %d filters, %d were pushed whole and %d told events apart: the test has become weak", rounds, exact, useful)
	}
}

// keeps asks ClickHouse for the numbers of the events that the SQL keeps.
func keeps(t *testing.T, conn clickhouse.Conn, q *celsql.Query) ([]uint64, error) {
	sql := "SELECT e.seq FROM events AS e WHERE 1"
	for _, w := range q.Where {
		sql += " AND " + w
	}
	var args []any
	for _, p := range q.Params {
		args = append(args, clickhouse.Named(p.Name, p.Value))
	}
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []uint64
	for rows.Next() {
		var seq uint64
		if err := rows.Scan(&seq); err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		out = append(out, seq)
	}
	return out, rows.Err()
}
