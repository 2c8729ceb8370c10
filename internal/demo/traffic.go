package demo

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Traffic sends the cast's requests through the gateway and keeps count. Its methods are safe for concurrent use.
type Traffic struct {
	url       string
	client    *http.Client
	customers int

	mu       sync.Mutex
	requests int64
	failed   int64
	innocent map[string]int       // refused customers' addresses
	refused  map[string]time.Time // attacker → first refusal
	begun    func(Attacker)
	onRefuse func(address string, at time.Time)
}

// NewTraffic prepares traffic against the gateway at url. begun is told when an attacker begins, refused when one is refused
// for the first time; both are called from several goroutines.
func NewTraffic(url string, customers int, begun func(Attacker), refused func(address string, at time.Time)) *Traffic {
	return &Traffic{url: strings.TrimSuffix(url, "/"), customers: customers, begun: begun, onRefuse: refused,
		innocent: map[string]int{}, refused: map[string]time.Time{},
		client: &http.Client{
			Timeout:       10 * time.Second,
			Transport:     &http.Transport{MaxIdleConnsPerHost: customers + 16, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}
}

// Run sends for the duration d: customers all the time, attackers one after the other within the first two thirds. It
// returns when every request has been answered.
func (t *Traffic) Run(ctx context.Context, d time.Duration) {
	defer t.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var wg sync.WaitGroup
	for n := range t.customers {
		wg.Go(func() { t.customer(ctx, newCustomer(n)) })
	}
	cast := Attackers()
	gap := d * 2 / 3 / time.Duration(len(cast))
	for i, a := range cast {
		wg.Go(func() {
			if pause(ctx, gap/2+gap*time.Duration(i)) {
				t.attack(ctx, a, max(gap, 2*time.Second))
			}
		})
	}
	wg.Wait()
}

// pause waits and tells whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (t *Traffic) customer(ctx context.Context, c *customer) {
	if !pause(ctx, time.Duration(c.rnd.IntN(2000))*time.Millisecond) {
		return
	}
	send := func(ctx context.Context, call Call) int {
		code := t.send(ctx, c.address, call)
		if isRefusal(code) {
			t.mu.Lock()
			t.innocent[c.address]++
			t.mu.Unlock()
		}
		return code
	}
	for ctx.Err() == nil {
		c.visit(ctx, send, func(d time.Duration) bool { return pause(ctx, d) })
	}
}

// attack sends a request every few milliseconds until the attacker has met 25 refusals or the time is over.
func (t *Traffic) attack(ctx context.Context, a Attacker, span time.Duration) {
	t.begun(a)
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	met := 0
	for n := 0; met < 25; n++ {
		call := a.Request(n)
		call.Agent = a.Agent
		if code := t.send(ctx, a.Address, call); isRefusal(code) {
			met++
			t.refusal(a.Address)
		}
		if !pause(ctx, 3*time.Millisecond) {
			return
		}
	}
}

func (t *Traffic) refusal(address string) {
	now := time.Now()
	t.mu.Lock()
	_, known := t.refused[address]
	if !known {
		t.refused[address] = now
	}
	t.mu.Unlock()
	if !known {
		t.onRefuse(address, now)
	}
}

func isRefusal(code int) bool {
	return code == http.StatusForbidden || code == http.StatusTooManyRequests
}

// send makes one request and reads the answer whole; it is not cut off when ctx ends, so that every request counts. It
// returns 0 when there was no answer.
func (t *Traffic) send(ctx context.Context, address string, c Call) int {
	if ctx.Err() != nil {
		return 0
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), c.Method, t.url+c.Path, strings.NewReader(c.Body))
	if err != nil {
		return t.done(0)
	}
	req.Header.Set("User-Agent", c.Agent)
	req.Header.Set("X-Forwarded-For", address)
	if c.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return t.done(0)
	}
	defer resp.Body.Close()
	if _, err = io.Copy(io.Discard, resp.Body); err != nil {
		return t.done(0)
	}
	return t.done(resp.StatusCode)
}

func (t *Traffic) done(code int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if code == 0 {
		t.failed++
	} else {
		t.requests++
	}
	return code
}
