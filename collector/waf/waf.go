// Package waf asks Coraza with the OWASP Core Rule Set what it thinks of a request that was answered already: its anomaly score and
// the rules that fired become waf.score and waf.rules of the event. It only looks, it never blocks, and it costs about a
// millisecond a request: whoever calls it must not keep a client waiting. See docs/enrichment.md.
package waf

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	"github.com/corazawaf/coraza/v3/types"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/event"
)

// redacted stands in events where the collector removed a secret. The firewall must not take it for an element of HTML.
const redacted, harmless = "<redacted>", "redacted"

// maxParameters bounds the parameters of a query that is judged: Coraza runs every rule on each one.
const maxParameters = 256

// blind lists the rules that fire because a header is missing: a tap keeps some headers only, so a missing one says nothing.
func blind() []int {
	return []int{920180, 920280, 920300, 920320, 920340}
}

// WAF judges requests. It is safe for concurrent use.
type WAF struct {
	cfg Config
	waf coraza.WAF
	log *slog.Logger
	m   *metrics

	unjudged atomic.Uint64
}

// New compiles the Core Rule Set, which takes about 0.2 s and some 20 MB. It does so whether or not cfg.Enabled is set.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*WAF, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	engine, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(directives(cfg)))
	if err != nil {
		return nil, fmt.Errorf("compile the core rule set: %w", err)
	}
	w := &WAF{cfg: cfg, waf: engine, log: log, m: m}
	// Of requests as harmless as this one Coraza says nothing; should a later version say it in another way, we notice here.
	if _, err := w.judge(&event.Event{Request: event.RequestInfo{Method: "GET", Path: "/"}}); err != nil {
		return nil, err
	}
	return w, nil
}

// directives is the engine's configuration, in the language of ModSecurity.
func directives(cfg Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, `SecRuleEngine DetectionOnly
SecRequestBodyAccess Off
SecResponseBodyAccess Off
SecAuditEngine Off
SecDefaultAction "phase:1,nolog,noauditlog,pass"
SecDefaultAction "phase:2,nolog,noauditlog,pass"
SecAction "id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level=%d,setvar:tx.detection_paranoia_level=%[1]d"
SecAction "id:900200,phase:1,pass,t:none,nolog,setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE'"
SecAction "id:900990,phase:1,pass,t:none,nolog,setvar:tx.crs_setup_version=4250"
Include @owasp_crs/REQUEST-*.conf
Include @owasp_crs/RESPONSE-950-DATA-LEAKAGES.conf
`, cfg.Paranoia)
	for _, id := range slices.Concat(blind(), cfg.Exclude) {
		fmt.Fprintf(&b, "SecRuleRemoveById %d\n", id)
	}
	return b.String()
}

// Inspect judges the event's request, however long that takes, and writes what it finds into the event: the inbound anomaly score, and
// the ids of at most [event.MaxList] rules, ascending. It returns false when it has nothing to say.
func (w *WAF) Inspect(e *event.Event) bool {
	if reason := w.skip(e); reason != "" {
		w.m.skip(reason)
		if reason == skipSize {
			w.unjudged.Add(1)
		}
		return false
	}
	start := time.Now()
	found, err := w.judge(e)
	if err != nil {
		w.m.skip(skipFailed)
		w.unjudged.Add(1)
		w.log.Warn("the firewall failed on a request, which goes on without a judgement", "event", e.ID.String(), "error", err)
		return false
	}
	w.m.seconds.Observe(time.Since(start).Seconds())
	w.m.evaluated.Inc()
	if found.Score == 0 && len(found.Rules) == 0 {
		return false
	}
	w.m.matched.Inc()
	e.WAF = found
	return true
}

// Unjudged counts the requests that were too long, or on which Coraza failed.
func (w *WAF) Unjudged() uint64 { return w.unjudged.Load() }

// skip tells why the event is not judged, "" when it is.
func (w *WAF) skip(e *event.Event) string {
	r := &e.Request
	size := len(r.Method) + len(r.Host) + len(r.Path) + len(r.Query) + len(r.UserAgent) + len(r.Referer)
	for k, v := range r.Headers {
		size += len(k) + len(v)
	}
	switch {
	case e.WAF.Score != 0 || len(e.WAF.Rules) > 0:
		return skipKnown
	case e.Refused():
		return skipEnforced
	case config.Bytes(size) > w.cfg.MaxSize, strings.Count(r.Query, "&") >= maxParameters:
		return skipSize
	case w.cfg.Sample < 1 && share(e.ID) >= w.cfg.Sample:
		return skipSample
	}
	return ""
}

// share maps an id to a number from 0 to below 1, evenly (FNV-1a, with the finaliser of MurmurHash3: ids differ in their last bits).
func share(id event.ID) float64 {
	h := uint64(14695981039346656037)
	for _, b := range id {
		h = (h ^ uint64(b)) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return float64(h>>11) / (1 << 53)
}

var errNoScore = errors.New("coraza does not tell the anomaly score; this version of Warder does not fit it")

// judge runs the phases of a request without a body and of a response's header.
func (w *WAF) judge(e *event.Event) (found event.WAF, err error) {
	defer func() {
		if p := recover(); p != nil { // requests are hostile, and Coraza is large
			err = fmt.Errorf("coraza panicked: %.200v", p)
		}
	}()
	tx := w.waf.NewTransaction()
	defer func() { err = errors.Join(err, tx.Close()) }()
	feed(tx, e)
	tx.ProcessRequestHeaders()
	if _, err := tx.ProcessRequestBody(); err != nil {
		return event.WAF{}, fmt.Errorf("judge request: %w", err)
	}
	if e.Response.Code != 0 {
		if t := e.Response.ContentType; t != "" {
			tx.AddResponseHeader("content-type", t)
		}
		tx.ProcessResponseHeaders(e.Response.Code, protocol(e))
	}
	if found.Score, err = score(tx); err != nil {
		return event.WAF{}, err
	}
	found.Rules = fired(tx)
	return found, nil
}

// feed tells Coraza what the event knows of the request.
func feed(tx types.Transaction, e *event.Event) {
	r := &e.Request
	if e.Source.Address.IsValid() {
		tx.ProcessConnection(e.Source.Address.String(), int(e.Source.Port), "", 0)
	}
	uri, method := clean(r.Path), r.Method
	if r.Query != "" {
		uri += "?" + clean(r.Query)
	}
	if method == "" { // a request that the tap could not take apart; its text is in the path
		method = "GET"
	}
	tx.ProcessURI(uri, method, protocol(e))
	own := []struct{ name, value string }{{"host", r.Host}, {"user-agent", r.UserAgent}, {"referer", r.Referer}}
	for _, h := range own {
		if h.value != "" {
			tx.AddRequestHeader(h.name, clean(h.value))
		}
	}
	if r.Host != "" {
		tx.SetServerName(r.Host)
	}
	for name, v := range r.Headers {
		if name != "host" && name != "user-agent" && name != "referer" {
			tx.AddRequestHeader(name, clean(v))
		}
	}
}

func clean(s string) string { return strings.ReplaceAll(s, redacted, harmless) }

// protocol is the request's; a tap that does not know it has seen something usual.
func protocol(e *event.Event) string {
	if e.Request.Protocol == "" {
		return "HTTP/1.1"
	}
	return e.Request.Protocol
}

// score is the sum of the severities of the rules that fired: 5 for critical, 4 for error, 3 for warning, 2 for notice.
func score(tx types.Transaction) (int64, error) {
	st, ok := tx.(plugintypes.TransactionState)
	if !ok {
		return 0, errNoScore
	}
	v := st.Variables().TX().Get("blocking_inbound_anomaly_score")
	if len(v) != 1 {
		return 0, errNoScore
	}
	n, err := strconv.ParseInt(v[0], 10, 64)
	if err != nil {
		return 0, errNoScore
	}
	return n, nil
}

// fired lists the rules that are evidence, ascending.
func fired(tx types.Transaction) []string {
	var ids []int
	for _, m := range tx.MatchedRules() {
		r := m.Rule()
		if isDetection(r.ID()) && r.Severity() != types.RuleSeverityUnset {
			ids = append(ids, r.ID())
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var out []string
	for _, id := range ids[:min(len(ids), event.MaxList)] {
		out = append(out, strconv.Itoa(id))
	}
	return out
}
