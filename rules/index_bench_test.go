package rules_test

import (
	"bufio"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/rules"
)

// BenchmarkMatchRules matches with 10, 100 and 1,000 rules of the kinds that the packs contain, each with words of its own. The
// events are those of traffic_test.go, or of the access log that the environment variable WARDER_LOGS names (combined format).
func BenchmarkMatchRules(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchmarkSet(b, fstest.MapFS{"rules.yaml": {Data: []byte(manyRules(n))}}) })
	}
}

// BenchmarkMatchCopies matches with copies of the shipped rules: the same expressions under other names, and with other words in
// each. About a fifth of the shipped rules counts nearly every request, so the matches grow with the copies.
func BenchmarkMatchCopies(b *testing.B) {
	for _, kind := range []string{"same", "altered"} {
		for _, n := range []int{1, 3, 30} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) { benchmarkSet(b, copiedPacks(b, n, kind == "altered")) })
		}
	}
}

// BenchmarkLoad loads 1,000 rules.
func BenchmarkLoad(b *testing.B) {
	fsys := fstest.MapFS{"rules.yaml": {Data: []byte(manyRules(1000))}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rules.Load(fsys); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkSet(b *testing.B, fsys fs.FS) {
	set, err := rules.Load(fsys)
	if err != nil {
		b.Fatal(err)
	}
	events := benchEvents(b)
	var dst []rules.Match
	var memory rules.Memory
	matches := 0
	for _, e := range events { // what recurs in the log is remembered after a while
		dst = set.MatchIn(&memory, e, dst[:0])
		matches += len(dst)
		memory.Reset()
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		dst = set.MatchIn(&memory, events[i%len(events)], dst[:0])
		if i++; i%1024 == 0 {
			memory.Reset()
		}
	}
	b.ReportMetric(float64(matches)/float64(len(events)), "matches/op")
}

// benchEvents returns the lines of WARDER_LOGS as events, or made-up ones.
func benchEvents(b *testing.B) []*event.Event {
	name := os.Getenv("WARDER_LOGS")
	if name == "" {
		return traffic(5000)
	}
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	form := regexp.MustCompile(`^(\S+) \S+ (\S+) \[[^]]*\] "(\S+) (\S+)[^"]*" (\d+) (\S+) "([^"]*)" "([^"]*)"`)
	var events []*event.Event
	for lines := bufio.NewScanner(f); lines.Scan() && len(events) < 100_000; {
		m := form.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		e := &event.Event{Request: event.RequestInfo{Method: m[3], UserAgent: m[8], Referer: strings.TrimPrefix(m[7], "-")}}
		e.Source.Address, _ = netip.ParseAddr(m[1])
		e.Request.Path, e.Request.Query, _ = strings.Cut(m[4], "?")
		e.Response.Code, _ = strconv.Atoi(m[5])
		e.Response.Size, _ = strconv.ParseInt(m[6], 10, 64)
		e.Bound()
		events = append(events, e)
	}
	return events
}

// copiedPacks are n copies of the shipped rules with other ids and without tests. In altered ones each copy has words of its own.
func copiedPacks(tb testing.TB, n int, altered bool) fs.FS {
	out := fstest.MapFS{}
	files, err := fs.Glob(rules.Packs(), "*.yaml")
	if err != nil || len(files) == 0 {
		tb.Fatal("no packs", err)
	}
	id, tests := regexp.MustCompile(`(?m)^id: (.*)$`), regexp.MustCompile(`(?m)^tests:\n(?:[ #].*\n|\n)*`)
	word := regexp.MustCompile(`\b(?:select|passwd|script|admin|eval|\.env|sqlmap|wget|jndi|localhost|backup|login)`)
	for _, f := range files {
		data, err := fs.ReadFile(rules.Packs(), f)
		if err != nil {
			tb.Fatal(err)
		}
		text := tests.ReplaceAllString(string(data), "")
		for i := range n {
			text := id.ReplaceAllString(text, fmt.Sprintf("id: ${1}-%03d", i))
			if altered && i > 0 {
				text = word.ReplaceAllString(text, fmt.Sprintf("${0}%c%c", 'a'+i%26, 'a'+i/26))
				text = id.ReplaceAllString(text, fmt.Sprintf("id: x%03d-${1}", i))
			}
			out[fmt.Sprintf("%03d-%s", i, path.Base(f))] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return out
}

// manyRules are n rules as the packs have them, ten kinds in turn, the same ones each time.
func manyRules(n int) string {
	r := rand.New(rand.NewPCG(10, 1000))
	w := wordList(r)
	kinds := []func(*words, int) string{payload, agentPayload, sensitiveFile, scanner, logIn, statusUnder, methodRoute, header, enumeration, slowRoute}
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\nid: rule-%04d\ntitle: Rule %d\nfilter: |\n  %s\n", i, i, kinds[i%len(kinds)](w, i))
	}
	return b.String()
}

// words makes words that look like those of payloads, products and routes.
type words struct{ r *rand.Rand }

func wordList(r *rand.Rand) *words { return &words{r} }

func (w *words) of(from ...string) string { return one(w.r, from...) }

// name is a pronounceable word of two to four syllables, such as products and functions have.
func (w *words) name() string {
	var b strings.Builder
	for range 2 + w.r.IntN(3) {
		b.WriteString(w.of("ba", "cor", "den", "fi", "gra", "hel", "jo", "ka", "lum", "mar", "nex", "or", "pro", "qua", "rin", "sol", "tek", "ur", "vel", "wor", "xen", "yas", "zim", "ser", "con", "net"))
	}
	return b.String()
}

const counted = "group_by: [source.address]\nwindow: {size: 5m}\naggregates: {n: count(), paths: distinct(request.path)}\ncondition: n >= 20 && paths >= 5"

func payload(w *words, _ int) string {
	return fmt.Sprintf(`[decode(request.query), decode(request.path)].exists(t,
    t.matches(r"(?i)\b%s\s*\(\s*['\w]|\b%s\s+(?:from|into)\s+%s\b") || t.matches(r"(?is)<\s*%s\b[^>]{0,60}\bon\w+\s*=|%s:%s"))
group_by: [source.address]
suppress: 10m`, w.name(), w.name(), w.name(), w.name(), w.name(), w.name())
}

func agentPayload(w *words, _ int) string {
	return fmt.Sprintf(`[decode(request.useragent), decode(request.referer)].exists(t, t.matches(r"(?i)\$\{\s*%s\s*:|/bin/%s\s+-\w|;\s*%s\s+https?://"))
group_by: [source.address]
suppress: 10m`, w.name(), w.name(), w.name())
}

func sensitiveFile(w *words, _ int) string {
	return fmt.Sprintf(`decode(request.path).matches(r"(?i)/(?:\.%s(?:[._-][\w.-]*)?|%s\.(?:ya?ml|json|ini)|%s/(?:config|install)\.php)(?:$|[/~;])") && response.code != 404
group_by: [source.address]
suppress: 1h`, w.name(), w.name(), w.name())
}

func scanner(w *words, i int) string {
	if i%20 < 10 {
		return fmt.Sprintf("request.useragent.lowerAscii().contains(%q) || request.useragent.startsWith(%q)\nsuppress: 1h", w.name(), w.name()+"/")
	}
	return fmt.Sprintf(`decode(request.useragent).matches(r"(?i)\b%s(?:scan|bot|fuzz)\b|%s/\d")
group_by: [source.address]
suppress: 1h`, w.name(), w.name())
}

func logIn(w *words, _ int) string {
	return fmt.Sprintf("request.method == \"POST\" && request.path == \"/%s/%s\" && response.code in [401, 403]\n%s", w.name(), w.of("login", "session", "token"), counted)
}

func statusUnder(w *words, _ int) string {
	return fmt.Sprintf("response.code >= %s && request.path.startsWith(\"/%s/%s/\")\n%s", w.of("400", "500", "403"), w.of("api", "v1", "v2", "internal", "admin"), w.name(), counted)
}

func methodRoute(w *words, _ int) string {
	return fmt.Sprintf("request.method in [\"POST\", \"PUT\", \"DELETE\"] && api.route == \"/%s/{id}\" && auth.outcome != \"success\"\n%s", w.name(), counted)
}

func header(w *words, _ int) string {
	name := "x-" + w.of("forwarded-for", "original-url", "api-version", w.name())
	return fmt.Sprintf("%q in request.headers && request.headers[%q].contains(%q) || request.headers[?%q].orValue(\"\") == %q\nsuppress: 1h", name, name, w.name(), "x-"+w.name(), w.name())
}

func enumeration(w *words, _ int) string {
	return fmt.Sprintf(`response.code in [200, 404] && request.query.matches(r"(?:^|&)%s_?id=\d{1,12}(?:&|$)") && request.referer == ""
%s`, w.name(), counted)
}

func slowRoute(w *words, _ int) string {
	return fmt.Sprintf(`(request.path.endsWith(".%s") || request.uri.contains("%s=%s")) && request.method == "GET"
%s`, w.name(), w.name(), w.name(), counted)
}
