package sinks

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
)

// Matcher picks alerts. Each part that is set must hold; a list holds when one of its patterns does. A pattern is a text, or the
// beginning of one followed by *. The zero Matcher matches nothing as an exclude or a silence and everything as a match.
type Matcher struct {
	Rules []string `yaml:"rules"` // rule ids
	Tags  []string `yaml:"tags"`
	// Group holds patterns for the alert's group fields: {source.address: 198.51.100.0/24}. An address may be given as a prefix.
	Group map[string]string `yaml:"group"`
}

// Validate reports empty patterns and malformed prefixes.
func (m *Matcher) Validate() error {
	var errs []error
	for i, p := range m.Rules {
		if p == "" {
			errs = append(errs, config.Errorf(fmt.Sprintf("rules[%d]", i), "is empty"))
		}
	}
	for i, p := range m.Tags {
		if p == "" {
			errs = append(errs, config.Errorf(fmt.Sprintf("tags[%d]", i), "is empty"))
		}
	}
	for k, p := range m.Group {
		if _, err := netip.ParsePrefix(p); k == "source.address" && strings.Contains(p, "/") && err != nil {
			errs = append(errs, config.Errorf("group", "%.60q is not an address prefix: write for example 198.51.100.0/24", p))
		}
	}
	return errors.Join(errs...)
}

func (m *Matcher) empty() bool { return len(m.Rules) == 0 && len(m.Tags) == 0 && len(m.Group) == 0 }

// matches tells whether every part that is set holds; true for the zero Matcher.
func (m *Matcher) matches(a *alert.Alert) bool {
	if len(m.Rules) > 0 && !anyPattern(m.Rules, a.Rule) {
		return false
	}
	if len(m.Tags) > 0 && !anyTag(m.Tags, a.Tags) {
		return false
	}
	for k, p := range m.Group {
		v, ok := a.Group[k]
		if !ok || !(pattern(p, v) || inPrefix(p, v)) {
			return false
		}
	}
	return true
}

func anyPattern(patterns []string, s string) bool {
	for _, p := range patterns {
		if pattern(p, s) {
			return true
		}
	}
	return false
}

func anyTag(patterns, tags []string) bool {
	for _, t := range tags {
		if anyPattern(patterns, t) {
			return true
		}
	}
	return false
}

func pattern(p, s string) bool {
	if prefix, ok := strings.CutSuffix(p, "*"); ok {
		return strings.HasPrefix(s, prefix)
	}
	return p == s
}

func inPrefix(p, s string) bool {
	prefix, err := netip.ParsePrefix(p)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(s)
	return err == nil && prefix.Contains(addr.Unmap())
}

// Silence holds alerts back until a time, for all sinks. Silenced alerts stay in the store; they are counted, and never sent later.
type Silence struct {
	Match Matcher `yaml:"match"`
	// Until is compared with the alert's event time, so that a replay decides as the first run did.
	Until   time.Time `yaml:"until"`
	Owner   string    `yaml:"owner"`
	Comment string    `yaml:"comment"`
}

// Validate reports what is wrong as config.FieldErrors. A silence must name what it silences, who wanted it, and its end.
func (s *Silence) Validate() error {
	var errs []error
	if s.Match.empty() {
		errs = append(errs, config.Errorf("match", "is empty, which would silence everything: name rules, tags or a group"))
	}
	if s.Until.IsZero() {
		errs = append(errs, config.Errorf("until", "is missing: every silence ends; write a time such as 2026-12-24T18:00:00Z"))
	}
	if s.Owner == "" {
		errs = append(errs, config.Errorf("owner", "is missing: say who wanted the silence"))
	}
	errs = append(errs, config.In("match", s.Match.Validate()))
	return errors.Join(errs...)
}

func (s *Silence) holds(a *alert.Alert) bool {
	return a.Time.Before(s.Until) && s.Match.matches(a)
}

// outcome says what became of an alert or event; it is the metric's label.
type outcome string

const (
	delivered   outcome = "delivered"
	failed      outcome = "failed"      // refused or given up; in the dead letters
	repeated    outcome = "repeat"      // delivered before
	filtered    outcome = "filtered"    // min_severity, match or exclude
	shadowed    outcome = "shadow"      // a rule in shadow mode only records
	silenced    outcome = "silenced"    // a silence holds
	outdated    outcome = "old"         // older than max_age
	undecodable outcome = "undecodable" // in the dead letters
)

// route tells whether the alert is for the sink: delivered, or why it is not. age is how long the alert has stood on the topic.
func route(c *Common, silences []Silence, a *alert.Alert, age time.Duration) outcome {
	switch {
	case a.Mode == alert.Shadow && !c.Shadow:
		return shadowed
	case a.Severity.Rank() < c.MinSeverity.Rank(), !c.Match.matches(a), !c.Exclude.empty() && c.Exclude.matches(a):
		return filtered
	case c.MaxAge > 0 && age > c.MaxAge.Std():
		return outdated
	}
	for i := range silences {
		if silences[i].holds(a) {
			return silenced
		}
	}
	return delivered
}
