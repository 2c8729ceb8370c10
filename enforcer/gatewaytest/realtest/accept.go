//go:build integration

package realtest

import (
	"bufio"
	"cmp"
	"encoding/json"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/warder/warder/enforcer/gatewaytest"
	"github.com/warder/warder/internal/decision"
)

// The clients of the tests below.
var (
	offender  = gatewaytest.Request{Address: netip.MustParseAddr("203.0.113.9"), UserAgent: "bad/1"}
	hasty     = gatewaytest.Request{Address: netip.MustParseAddr("203.0.113.10"), UserAgent: "hasty/1"}
	bystander = gatewaytest.Request{Address: netip.MustParseAddr("198.51.100.1"), UserAgent: "good/1"}
)

func about(a decision.Action, q gatewaytest.Request) *decision.Decision {
	return gatewaytest.New(a, decision.Term{Scope: decision.Address, Value: q.Address.String()})
}

// Log is a gateway's access log: a JSON object a line.
type Log struct {
	Path string
	// Marks returns what a line says of the decision that answered or marked the request.
	Marks func(line map[string]any) (id, action string)
}

// Marks reads them from fields of the line's own.
func Marks(line map[string]any) (id, action string) {
	id, _ = line["warder_decision"].(string)
	action, _ = line["warder_action"].(string)
	return id, action
}

// says waits for a line about the decision.
func (l Log) says(t testing.TB, d *decision.Decision, action string) {
	t.Helper()
	Eventually(t, "the access log names the decision "+d.ID+" with "+action, func() bool {
		f, err := os.Open(l.Path)
		if err != nil {
			return false // not yet
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			var line map[string]any
			if json.Unmarshal(s.Bytes(), &line) != nil {
				continue // half a line, or the program's own words
			}
			if id, a := l.Marks(line); id == d.ID && a == action {
				return true
			}
		}
		return false
	})
}

// Gateway is a real program, and how the test and Warder reach it.
type Gateway struct {
	*gatewaytest.Rig
	Client *Client
	Log    Log
	// Observed tells that the log names decisions that only observe.
	Observed bool
}

func (g *Gateway) sync(t testing.TB, want ...*decision.Decision) {
	t.Helper()
	if err := g.Sync(t.Context(), want...); err != nil {
		t.Fatal(err)
	}
}

func (g *Gateway) wants(t testing.TB, what string, q gatewaytest.Request, status int) Reply {
	t.Helper()
	q.Path = cmp.Or(q.Path, "/")
	r, err := g.Client.Post(t.Context(), q, "hello")
	if err != nil || r.Status != status || status == 200 && r.Body != "hello" {
		t.Errorf("%s: %+v %v, want %d", what, r, err, status)
	}
	return r
}

func (g *Gateway) refused() int {
	if g.Refused != 0 {
		return g.Refused
	}
	return 403
}

// Accept checks what the owner is promised of every gateway.
func Accept(t *testing.T, g *Gateway) {
	block, limit := about(decision.Block, offender), about(decision.Limit, hasty)
	g.wants(t, "nobody is decided on", offender, 200)
	g.sync(t, block, limit)
	if r := g.wants(t, "offender", offender, g.refused()); !strings.Contains(r.Body, `"error":"blocked","decision":"`+block.ID) || r.Decision != block.ID {
		t.Errorf("the answer does not say why: %+v", r)
	}
	g.wants(t, "bystander", bystander, 200)
	g.ownAnswers(t)
	for range limit.Rate.Burst {
		g.wants(t, "within the limit", hasty, 200)
	}
	if g.wants(t, "above the limit", hasty, 429).RetryAfter == "" {
		t.Error("429 without Retry-After")
	}
	if g.Log.Path != "" {
		g.Log.says(t, block, "block")
		g.Log.says(t, limit, "limit")
	}
	if err := g.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.wants(t, "offender after a restart of Warder", offender, g.refused())
	g.wants(t, "bystander after a restart of Warder", bystander, 200)
	g.sync(t, limit)
	g.wants(t, "revoked", offender, 200)
	if g.Observed {
		mark := about(decision.Block, offender)
		mark.Mode = decision.Observe
		g.sync(t, mark)
		g.wants(t, "observed", offender, 200)
		g.Log.says(t, mark, "observe:block")
	}
}

// ownAnswers checks that what the service itself refuses, or fails at, is passed on: it is neither Warder's refusal nor its absence.
func (g *Gateway) ownAnswers(t testing.TB) {
	t.Helper()
	for _, status := range []int{401, 403, 429, 500, 502, 503} {
		q := bystander
		q.Path = "/" + strconv.Itoa(status)
		if r := g.wants(t, "the service's own answer", q, status); r.Body != "hello" || r.Decision != "" {
			t.Errorf("the service's own %d became %+v", status, r)
		}
	}
}

// Bounds of what a gateway that fails open adds to a request while Warder is away. Half of the requests must be below; the rest
// is what a busy machine does.
const (
	goneCosts    = 50 * time.Millisecond
	hangingCosts = 100*time.Millisecond + goneCosts // the configurations' timeout
	worst        = time.Second
)

// FailOpen checks that requests pass while Warder is gone or hangs, how long that takes them, and that decisions hold when it is back.
func FailOpen(t *testing.T, g *Gateway, w *Warder) {
	block := about(decision.Block, offender)
	g.sync(t, block)
	with, _ := g.costs(t, 200)
	absences(t, g, w, func(state string, most time.Duration, n int) {
		g.wants(t, "offender while Warder is "+state, offender, 200)
		half, slowest := g.costs(t, n)
		t.Logf("a request while Warder is %s: half within %v, all within %v; with Warder %v", state, half, slowest, with)
		if half-with > most || slowest > worst {
			t.Errorf("Warder %s: half of the requests within %v, all within %v, with Warder %v; want at most %v more, and %v", state, half, slowest, with, most, worst)
		}
	})
}

// FailClosed checks that all get these statuses while Warder is gone and while it hangs, and that requests pass when it is back.
func FailClosed(t *testing.T, g *Gateway, w *Warder, gone, hanging int) {
	block := about(decision.Block, offender)
	g.sync(t, block)
	g.wants(t, "bystander", bystander, 200)
	absences(t, g, w, func(state string, _ time.Duration, _ int) {
		status := gone
		if state == isHanging {
			status = hanging
		}
		g.wants(t, "bystander while Warder is "+state, bystander, status)
	})
	g.wants(t, "bystander after all", bystander, 200)
}

// The states of an absent Warder.
const (
	isGone    = "gone"    // nothing listens at its address
	isHanging = "hanging" // who connects waits
)

func absences(t *testing.T, g *Gateway, w *Warder, check func(state string, most time.Duration, n int)) {
	back := func() {
		w.Start()
		Eventually(t, "decisions hold when Warder is back", func() bool {
			a, err := g.Ask(t.Context(), offender)
			return err == nil && a.Status == g.refused()
		})
	}
	w.Stop()
	check(isGone, goneCosts, 200)
	back()
	w.Stop()
	end := w.hang()
	check(isHanging, hangingCosts, 20)
	end()
	back()
}

// costs is what half of n requests one after the other take at most, and what all take.
func (g *Gateway) costs(t testing.TB, n int) (half, slowest time.Duration) {
	t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		began := time.Now()
		g.wants(t, "bystander", bystander, 200)
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took[n/2], took[n-1]
}
