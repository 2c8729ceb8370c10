package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Attacker is one of the cast: where it comes from, what it is up to and the requests that it sends.
type Attacker struct {
	Address string
	Name    string // for people: "credential stuffing"
	Agent   string
	// Request returns the n-th request, from 0.
	Request func(n int) Call
}

// Call is a request to make.
type Call struct {
	Method, Path, Body, Token string
	// Agent overrides the sender's user agent.
	Agent string
}

const (
	browser = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
	phone   = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
)

func get(path string) Call { return Call{Method: http.MethodGet, Path: path} }

func loginCall(user, password string) Call {
	return Call{Method: http.MethodPost, Path: "/login", Body: fmt.Sprintf(`{"user":%q,"password":%q}`, user, password)}
}

func cycle(calls ...Call) func(int) Call { return func(n int) Call { return calls[n%len(calls)] } }

// Attackers returns the cast, in the order in which they appear.
func Attackers() []Attacker {
	return []Attacker{
		{"203.0.113.9", "credential stuffing", "python-requests/2.32.3", func(n int) Call {
			return loginCall(fmt.Sprintf("someone-%d@example.com", n), "Summer2026!")
		}},
		{"203.0.113.24", "SQL injection", browser, cycle(
			get("/api/v1/products"),
			get("/api/v1/search?q=shoes%27%20UNION%20SELECT%20card_number%2Ccvv%20FROM%20payments--%20-"),
			get("/api/v1/search?q=1%27%20OR%20%271%27%3D%271"),
			get("/api/v1/search?q=1%27%3BWAITFOR%20DELAY%20%270%3A0%3A5%27--"))},
		{"2001:db8:bad::7", "path probing", browser, func(n int) Call {
			names := []string{"admin", "backup", "old", "test", "dev", "console", "manager", "private", "tmp", "config"}
			return get(fmt.Sprintf("/%s%d/", names[n%len(names)], n/len(names)))
		}},
		{"203.0.113.77", "vulnerability scanner", "sqlmap/1.8.11#stable (https://sqlmap.org)", func(n int) Call {
			return get(fmt.Sprintf("/api/v1/products/%d", n%50+1))
		}},
		{"203.0.113.130", "path traversal", "curl/8.14.1", cycle(
			get("/assets/app.js"),
			get("/assets/..%2f..%2f..%2f..%2fetc%2fpasswd"),
			get("/assets/%252e%252e%252f%252e%252e%252fetc%252fshadow"),
			get("/assets/....//....//....//etc/passwd"))},
		{"203.0.113.201", "sensitive files", "Mozilla/5.0 (compatible; research)", cycle(
			get("/.env"), get("/.git/config"), get("/wp-config.php.bak"), get("/.aws/credentials"), get("/id_rsa"))},
		{"2001:db8:bad::cafe", "password guessing on one account", "okhttp/4.12.0", func(n int) Call {
			return loginCall("customer-7", fmt.Sprintf("guess-%d", n))
		}},
	}
}

// customer walks through the shop as people do: pages with their assets, thinking time, now and then a typing error in the
// password or a broken link.
type customer struct {
	n       int
	address string
	agent   string
	rnd     *rand.Rand
}

// newCustomer returns customer n. Every fourth one sits in one of two offices that share an address.
func newCustomer(n int) *customer {
	c := &customer{n: n, address: fmt.Sprintf("198.51.100.%d", n%200+10), agent: browser, rnd: rand.New(rand.NewPCG(uint64(n), 7))}
	switch {
	case n%4 == 0:
		c.address = fmt.Sprintf("192.0.2.%d", 20+n/4%2)
	case n%5 == 0:
		c.address = fmt.Sprintf("2001:db8:1::%x", n+16)
	}
	if n%3 == 0 {
		c.agent = phone
	}
	return c
}

// visit makes one visit; send makes a request, pause waits and tells whether to go on.
func (c *customer) visit(ctx context.Context, send func(context.Context, Call) int, pause func(time.Duration) bool) {
	user := fmt.Sprintf("customer-%d", c.n)
	token := ""
	do := func(calls ...Call) bool {
		for _, call := range calls {
			call.Token, call.Agent = token, c.agent
			send(ctx, call)
		}
		return pause(time.Duration(400+c.rnd.IntN(1600)) * time.Millisecond)
	}
	if !do(get("/"), get("/assets/app.js"), get("/assets/app.css"), get("/assets/logo.svg")) {
		return
	}
	if c.rnd.IntN(8) == 0 && !do(loginCall(user, "correct hose")) {
		return
	}
	if !do(loginCall(user, Password)) {
		return
	}
	token = "token-" + user
	words := []string{"red shoes", "o'neill jacket", "select size", "union jack mug", "50% off", "café <3"}
	for range 3 + c.rnd.IntN(4) {
		next := get(fmt.Sprintf("/api/v1/products/%d", c.rnd.IntN(400)+1))
		switch c.rnd.IntN(6) {
		case 0:
			next = get("/api/v1/products")
		case 1:
			next = get("/api/v1/search?q=" + escape(words[c.rnd.IntN(len(words))]))
		case 2:
			next = get("/api/v1/orders")
		case 3:
			next = Call{Method: http.MethodPost, Path: "/api/v1/cart", Body: `{"id":7}`}
		}
		if c.rnd.IntN(40) == 0 {
			next = get("/summer-sale-2024")
		}
		if !do(next) {
			return
		}
	}
}

func escape(s string) string {
	r := strings.NewReplacer("%", "%25", " ", "%20", "'", "%27", "<", "%3C", "é", "%C3%A9")
	return r.Replace(s)
}
