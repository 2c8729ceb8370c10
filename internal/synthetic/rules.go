package synthetic

import (
	_ "embed" // for the table of rules
	"strings"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/decision"
)

// ruleTable lists what the shipped rules say of themselves; a test holds it against them.
//
//go:embed rules.tsv
var ruleTable string

// Rule is what an alert and a decision take from a rule.
type Rule struct {
	ID, Title string
	Severity  alert.Severity
	Mode      alert.Mode
	GroupBy   []string
	Tags      []string
	// Action is "" for a rule that asks for nothing.
	Action decision.Action
	Scope  decision.Scope
	TTL    time.Duration
}

// version is what stands for the hash of the rule's text.
func (r *Rule) version() string {
	var n uint64
	for _, c := range []byte(r.ID) {
		n = mix(n ^ uint64(c))
	}
	return hexOf(n)
}

// Rules returns the rules in the order of their ids.
func Rules() []*Rule {
	var out []*Rule
	for line := range strings.Lines(ruleTable) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		r := &Rule{ID: f[0], Severity: alert.Severity(f[1]), Mode: alert.Mode(f[2]), GroupBy: strings.Split(f[3], ","), Tags: strings.Split(f[4], ","), Title: f[6]}
		if respond := strings.Fields(f[5]); len(respond) == 3 {
			r.Action, r.Scope = decision.Action(respond[0]), decision.Scope(respond[1])
			r.TTL, _ = time.ParseDuration(respond[2]) // the test has checked it
		}
		out = append(out, r)
	}
	return out
}

func rulesByID() map[string]*Rule {
	out := make(map[string]*Rule)
	for _, r := range Rules() {
		out[r.ID] = r
	}
	return out
}
