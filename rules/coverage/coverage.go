// Package coverage lays rules out over the OWASP API Security Top 10 and MITRE ATT&CK, by the rules' tags: owasp.api1 to owasp.api10,
// and attack.t1110 or attack.t1110.004.
package coverage

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/warder/warder/rules"
)

// Risk is one of OWASP's risks with the rules that look for it. One without a rule is a gap.
type Risk struct {
	ID    string   `json:"id"` // "API1:2023"
	Name  string   `json:"name"`
	URL   string   `json:"url"`
	Rules []string `json:"rules"` // in id order
}

// Technique is one of ATT&CK's techniques with the rules that look for it.
type Technique struct {
	ID      string   `json:"id"` // "T1110.004"
	Name    string   `json:"name,omitempty"`
	Tactics []string `json:"tactics,omitempty"` // ATT&CK's short names: "credential-access"
	URL     string   `json:"url"`
	Rules   []string `json:"rules"`
}

// Matrix is what rules cover.
type Matrix struct {
	Rules int `json:"rules"` // how many there are in all
	// OWASP has all ten risks, in order.
	OWASP []Risk `json:"owasp_api_2023"`
	// ATTACK has the techniques that some rule names, in the order of their numbers.
	ATTACK []Technique `json:"attack"`
	// Untagged are the rules that name neither a risk nor a technique.
	Untagged []string `json:"untagged"`
}

// risks are the OWASP API Security Top 10 of 2023, https://owasp.org/API-Security/editions/2023/en/0x11-t10/.
func risks() []Risk {
	names := []string{
		"Broken Object Level Authorization", "Broken Authentication", "Broken Object Property Level Authorization", "Unrestricted Resource Consumption",
		"Broken Function Level Authorization", "Unrestricted Access to Sensitive Business Flows", "Server Side Request Forgery",
		"Security Misconfiguration", "Improper Inventory Management", "Unsafe Consumption of APIs",
	}
	pages := []string{
		"0xa1-broken-object-level-authorization", "0xa2-broken-authentication", "0xa3-broken-object-property-level-authorization",
		"0xa4-unrestricted-resource-consumption", "0xa5-broken-function-level-authorization",
		"0xa6-unrestricted-access-to-sensitive-business-flows", "0xa7-server-side-request-forgery", "0xa8-security-misconfiguration",
		"0xa9-improper-inventory-management", "0xaa-unsafe-consumption-of-apis",
	}
	out := make([]Risk, len(names))
	for i := range names {
		out[i] = Risk{ID: "API" + strconv.Itoa(i+1) + ":2023", Name: names[i],
			URL: "https://owasp.org/API-Security/editions/2023/en/" + pages[i] + "/", Rules: []string{}}
	}
	return out
}

var (
	owaspTag  = regexp.MustCompile(`(?i)^owasp[.:]api(10|[1-9])(?:[:-]2023)?$`)
	attackTag = regexp.MustCompile(`(?i)^attack\.(t\d{4}(?:\.\d{3})?)$`)
)

// OWASP returns the number of the risk, from 1, that a tag names; 0 for none.
func OWASP(tag string) int {
	m := owaspTag.FindStringSubmatch(tag)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // the expression allows digits only
	return n
}

// ATTACK returns the technique that a tag names, such as "T1110.004"; "" for none.
func ATTACK(tag string) string {
	m := attackTag.FindStringSubmatch(tag)
	if m == nil {
		return ""
	}
	return strings.ToUpper(m[1])
}

// Of returns the matrix of the rules.
func Of(list []*rules.Rule) *Matrix {
	m := &Matrix{Rules: len(list), OWASP: risks(), ATTACK: []Technique{}, Untagged: []string{}}
	byID := map[string][]string{}
	for _, r := range list {
		tagged := false
		for _, tag := range r.Tags {
			if n := OWASP(tag); n > 0 {
				m.OWASP[n-1].Rules = with(m.OWASP[n-1].Rules, r.ID)
				tagged = true
			}
			if id := ATTACK(tag); id != "" {
				byID[id] = with(byID[id], r.ID)
				tagged = true
			}
		}
		if !tagged {
			m.Untagged = append(m.Untagged, r.ID)
		}
	}
	for id, list := range byID {
		t := Describe(id)
		t.Rules = list
		m.ATTACK = append(m.ATTACK, t)
	}
	slices.SortFunc(m.ATTACK, func(a, b Technique) int { return strings.Compare(a.ID, b.ID) })
	return m
}

func with(list []string, id string) []string {
	if slices.Contains(list, id) {
		return list
	}
	return append(list, id)
}

// Covered is how many of the ten risks have a rule.
func (m *Matrix) Covered() int {
	n := 0
	for _, r := range m.OWASP {
		if len(r.Rules) > 0 {
			n++
		}
	}
	return n
}
