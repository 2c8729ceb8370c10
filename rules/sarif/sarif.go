// Package sarif writes lint findings in the Static Analysis Results Interchange Format, SARIF 2.1.0 (OASIS standard, March 2020), of
// which GitHub code scanning and most editors read this part:
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
package sarif

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/warder/warder/rules"
)

const schema = "https://json.schemastore.org/sarif-2.1.0.json"

type (
	log struct {
		Schema  string `json:"$schema"`
		Version string `json:"version"`
		Runs    []run  `json:"runs"`
	}
	run struct {
		Tool    tool     `json:"tool"`
		Results []result `json:"results"`
	}
	tool struct {
		Driver driver `json:"driver"`
	}
	driver struct {
		Name            string  `json:"name"`
		SemanticVersion string  `json:"version"`
		Rules           []check `json:"rules"`
	}
	check struct {
		ID    string  `json:"id"`
		Short message `json:"shortDescription"`
	}
	result struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      message           `json:"message"`
		Locations    []location        `json:"locations,omitempty"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	message struct {
		Text string `json:"text"`
	}
	location struct {
		Physical physical `json:"physicalLocation"`
	}
	physical struct {
		Artifact artifact `json:"artifactLocation"`
		Region   *region  `json:"region,omitempty"`
	}
	artifact struct {
		URI string `json:"uri"`
	}
	region struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)

// Write writes the findings as one SARIF run of the tool in this version. Files are named as they were given to lint, so that relative
// paths stay relative to the repository.
func Write(w io.Writer, version string, findings []rules.Finding) error {
	r := run{Tool: tool{driver{Name: "warder rules lint", SemanticVersion: version}}, Results: []result{}}
	var checks []string
	for _, f := range findings {
		if !slices.Contains(checks, f.Check) {
			checks = append(checks, f.Check)
		}
	}
	slices.Sort(checks)
	r.Tool.Driver.Rules = []check{}
	for _, c := range checks {
		r.Tool.Driver.Rules = append(r.Tool.Driver.Rules, check{c, message{rules.CheckTitle(c)}})
	}
	for _, f := range findings {
		r.Results = append(r.Results, one(f, slices.Index(checks, f.Check)))
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(log{schema, "2.1.0", []run{r}}); err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	return nil
}

func one(f rules.Finding, index int) result {
	text, _, _ := strings.Cut(f.Msg, "\n") // without the excerpt, which code scanning shows itself
	if f.Rule != "" && f.Check != "load" {
		text = "rule " + f.Rule + ": " + text
	}
	// A finding stays the same one when lines before it come and go.
	sum := sha256.Sum256([]byte(strings.Join([]string{f.File, f.Rule, f.Check, text}, "\x00")))
	out := result{RuleID: f.Check, RuleIndex: index, Level: string(f.Level), Message: message{text},
		Fingerprints: map[string]string{"warderFinding/v1": hex.EncodeToString(sum[:16])}}
	if f.File == "" {
		return out
	}
	p := physical{Artifact: artifact{uri(f.File)}}
	if f.Line > 0 {
		p.Region = &region{StartLine: f.Line, StartColumn: f.Column}
	}
	out.Locations = []location{{p}}
	return out
}

// uri is the path as a relative or file URI.
func uri(file string) string {
	file = strings.ReplaceAll(file, `\`, "/")
	u := url.URL{Path: path.Clean(file)}
	if path.IsAbs(file) {
		u.Scheme = "file"
	}
	return strings.TrimPrefix(u.String(), "./")
}
