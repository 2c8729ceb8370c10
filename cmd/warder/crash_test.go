package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/app"
	"github.com/warder/warder/internal/demo"
	"github.com/warder/warder/internal/engine"
	"github.com/warder/warder/internal/history"
	"github.com/warder/warder/internal/receivers"
	"github.com/warder/warder/internal/store"
)

// warderProcess is a real `warder up` that the test kills.
type warderProcess struct {
	cmd *exec.Cmd
	url string
	out chan string // the rest of its standard output, for the failure message
}

var listens = regexp.MustCompile(`gateway\s+(http://\S+)`)

// startWarder runs this test binary as warder and waits until it says where the gateway listens.
func startWarder(t *testing.T, args ...string) *warderProcess {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &warderProcess{cmd: exec.Command(exe, append([]string{"up"}, args...)...), out: make(chan string, 1)}
	p.cmd.Env = append(os.Environ(), runAsWarder+"=1")
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	r := bufio.NewReader(stdout)
	for {
		line, err := r.ReadString('\n')
		if m := listens.FindStringSubmatch(line); m != nil {
			p.url = m[1]
			break
		}
		if err != nil {
			t.Fatalf("warder ended before it was up: %v", p.cmd.Wait())
		}
	}
	go func() {
		b, _ := io.ReadAll(r) // ends with the process
		p.out <- string(b)
	}()
	return p
}

// kill ends the process as a power cut would, and waits until it is gone.
func (p *warderProcess) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.out
	_ = p.cmd.Wait() // "signal: killed"
}

// stop ends the process in order.
func (p *warderProcess) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-p.out
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("warder ended with %v after an interrupt", err)
	}
}

// answers collects the ids of requests whose answer arrived whole.
type answers struct {
	mu      sync.Mutex
	ids     map[string]int // request id → status
	refused map[string]bool
}

func (a *answers) get(client *http.Client, url, address, id string) (int, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Forwarded-For", address)
	req.Header.Set("X-Request-Id", id)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids[id] = resp.StatusCode
	if resp.StatusCode == http.StatusForbidden {
		a.refused[address] = true
	}
	return resp.StatusCode, nil
}

const (
	crashRounds    = 3
	crashClients   = 6
	crashAttackers = 8 // a round
	crashRequests  = 150
	attackPath     = "/api/v1/search?q=1%27%20UNION%20SELECT%20name%2Cpassword%20FROM%20users--%20-"
)

// Killed with -9 in the middle of traffic, and again: every request that the gateway answered is in the store exactly once, no
// alert is lost or doubled, and blocks still hold at once after the restart.
func TestKillNine(t *testing.T) {
	shop := http.Server{Handler: demo.Shop()}
	ln := listen(t)
	go func() { _ = shop.Serve(ln) }()
	defer shop.Close()
	hook, err := receivers.NewWebhook("")
	if err != nil {
		t.Fatal(err)
	}
	defer hook.Close()

	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	file := filepath.Join(dir, "warder.yaml")
	port := listen(t)
	address := port.Addr().String()
	port.Close() // free again, for every start
	writeFile(t, file, fmt.Sprintf(`
data_dir: %s
log: {level: error}
admin: {listen: ""}
api: {listen: ""}
gateway:
  listen: %s
  trusted_proxies: [127.0.0.0/8]
  routes: [{upstream: "http://%s"}]
enforcer: {enforce: true, max_share: 1, approval: {share: 1}} # attackers are most of this traffic
sinks:
  webhook: [{name: hook, url: %q}]
`, data, address, ln.Addr(), hook.URL()))

	got := &answers{ids: map[string]int{}, refused: map[string]bool{}}
	attackers := map[string]bool{}
	for round := range crashRounds {
		p := startWarder(t, "--config", file)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}, Timeout: 10 * time.Second}
		for a := range attackers {
			code, err := got.get(client, p.url+"/api/v1/products", a, fmt.Sprintf("held-%d-%s", round, a))
			if got.refused[a] && (err != nil || code != http.StatusForbidden) {
				t.Errorf("round %d: the block of %s does not hold after the restart: %d, %v", round, a, code, err)
			}
		}
		crashTraffic(t, p, client, got, round, attackers)
		client.CloseIdleConnections()
	}
	last := startWarder(t, "--config", file)
	t.Logf("%d requests answered, %d attackers, %d of them refused so far", len(got.ids), len(attackers), len(got.refused))
	waitUntil(t, time.Minute, "every alert at the webhook", func() bool { return hook.Count() >= len(attackers) })
	waitUntil(t, time.Minute, "every attacker refused", func() bool {
		client := &http.Client{Timeout: 5 * time.Second}
		defer client.CloseIdleConnections()
		for a := range attackers {
			if !got.refused[a] {
				_, _ = got.get(client, last.url+"/", a, fmt.Sprintf("late-%s-%d", a, time.Now().UnixNano()))
			}
		}
		return len(got.refused) == len(attackers)
	})
	last.stop(t)
	checkStore(t, filepath.Join(data, "engine"), got, attackers, hook)
}

// crashTraffic sends customers' and attackers' requests and kills the process in the middle of them.
func crashTraffic(t *testing.T, p *warderProcess, client *http.Client, got *answers, round int, attackers map[string]bool) {
	t.Helper()
	var wg sync.WaitGroup
	half := make(chan struct{}, crashClients)
	for c := range crashClients {
		wg.Go(func() {
			told := false
			for n := range crashRequests {
				if n == crashRequests/2 {
					half <- struct{}{}
					told = true
				}
				_, err := got.get(client, fmt.Sprintf("%s/api/v1/products/%d", p.url, n+1), fmt.Sprintf("198.51.100.%d", c+1), fmt.Sprintf("r%d-c%d-%d", round, c, n))
				if err != nil && told {
					return // killed
				}
			}
		})
	}
	for a := range crashAttackers {
		address := fmt.Sprintf("203.0.113.%d", round*crashAttackers+a+1)
		wg.Go(func() {
			for n := range 5 {
				if _, err := got.get(client, p.url+attackPath, address, fmt.Sprintf("r%d-a%d-%d", round, a, n)); err == nil {
					got.mu.Lock()
					attackers[address] = true
					got.mu.Unlock()
				}
			}
		})
	}
	for range crashClients {
		<-half
	}
	p.kill(t)
	wg.Wait()
}

// checkStore opens the data of the stopped process and compares it with what the clients saw.
func checkStore(t *testing.T, dir string, got *answers, attackers map[string]bool, hook *receivers.Webhook) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	eng, err := engine.Start(ctx, engine.Config{Dir: dir, Memory: 1 << 30, Concurrent: 4}, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	cfg := app.Embedded(store.DefaultConfig(), eng)
	st, err := store.Open(ctx, cfg, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	stored := requestIDs(t, ctx, cfg)
	for id := range got.ids {
		if n := stored[id]; n != 1 {
			t.Errorf("request %s was answered with %d and is in the store %d times", id, got.ids[id], n)
		}
	}
	for id, n := range stored {
		if n > 1 {
			t.Errorf("request %s is in the store %d times", id, n)
		}
	}
	alerts, err := st.Alerts(ctx, history.AlertFilter{})
	if err != nil {
		t.Fatal(err)
	}
	ids, per := map[string]int{}, map[string]int{}
	for _, a := range alerts {
		ids[a.ID]++
		per[a.Rule+" "+a.Group["source.address"]]++
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("alert %s is in the store %d times", id, n)
		}
	}
	for a := range attackers {
		if n := per["sql-injection "+a]; n != 1 {
			t.Errorf("%s has %d alerts of the rule that it tripped, want 1", a, n)
		}
	}
	if hook.Count() != len(ids) {
		t.Errorf("%d alerts arrived at the webhook, %d are in the store", hook.Count(), len(ids))
	}
}

// requestIDs counts the rows of each request id, without FINAL: as anybody would who looks into the table.
func requestIDs(t *testing.T, ctx context.Context, cfg store.Config) map[string]uint64 {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{Protocol: map[string]clickhouse.Protocol{"http": clickhouse.HTTP, "native": clickhouse.Native}[cfg.Protocol],
		Addr: cfg.Addrs, Auth: clickhouse.Auth{Database: cfg.Database, Username: cfg.Username, Password: cfg.Password.Reveal()}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rows, err := conn.Query(ctx, "SELECT request_id, count() FROM events GROUP BY request_id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]uint64{}
	for rows.Next() {
		var id string
		var n uint64
		if err := rows.Scan(&id, &n); err != nil {
			t.Fatal(err)
		}
		out[id] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
