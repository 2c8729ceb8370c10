package sigma

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// source is one Sigma rule or correlation of a file.
type source struct {
	file string
	at   *node
	// id, name and title are as they are written; any may be empty.
	id, name, title string
	correlation     *node

	filter expr  // of a rule
	agg    *tail // of a rule with the old aggregation
	err    error
	made   *output
}

// output is a Warder rule to be written.
type output struct {
	id, sourceID, title, description, author, license, severity string
	references, falsePositives, tags, groupBy                   []string
	filter                                                      string
	window                                                      time.Duration
	aggregates                                                  []aggregate
	condition                                                   string
	sequence                                                    []step
	span                                                        time.Duration // of the sequence
	suppress                                                    time.Duration
	notes                                                       []string // comments above the rule
}

// aggregate is func(of), over what where lets in.
type aggregate struct{ name, call, fn, of, where string }

// step is one step of a sequence.
type step struct {
	name, filter string
	count        int64
}

func newSource(file string, at *node) *source {
	return &source{file: file, at: at, id: at.get("id").str(), name: at.get("name").str(), title: at.get("title").str(), correlation: at.get("correlation")}
}

// read works out the rule's filter, or why there is none.
func (s *source) read() {
	if s.correlation != nil {
		s.err = s.usable()
		return
	}
	if s.err = s.usable(); s.err != nil {
		return
	}
	if s.err = logSource(s.at); s.err != nil {
		return
	}
	d, err := newDetection(s.at)
	if err == nil {
		s.filter, s.agg, err = d.read()
	}
	if err == nil && s.filter.op == 'F' {
		err = refuse(d.at, "no event can ever match: the condition asks for what an access event's fields cannot hold")
	}
	if err == nil && s.filter.op == 'T' {
		err = refuse(d.at, "every event matches: the condition leaves nothing to look for")
	}
	s.err = err
}

// usable refuses what is no rule and what its authors have withdrawn.
func (s *source) usable() error {
	switch status := strings.ToLower(s.at.get("status").str()); status {
	case "deprecated":
		return refuse(s.at.get("status"), "the rule is deprecated: its authors replaced it")
	case "unsupported":
		return refuse(s.at.get("status"), "the rule is marked unsupported by its authors")
	}
	if t := s.at.get("taxonomy").str(); t != "" && t != "sigma" {
		return refuse(s.at.get("taxonomy"), "taxonomy %.40q: only sigma's own is known", t)
	}
	if s.title == "" {
		return refuse(s.at, "has no title")
	}
	if f := s.at.get("filter"); f != nil {
		return refuse(f, "a global filter: Sigma's tools do not agree whether its condition says what to keep or what to leave out; write it into the rules, or as `except`")
	}
	return nil
}

// logSource accepts web servers' and proxies' access logs.
func logSource(rule *node) error {
	at := rule.get("logsource")
	if at == nil || at.kind != mapNode {
		return refuse(rule, "has no logsource")
	}
	category, product, service := strings.ToLower(at.get("category").str()), strings.ToLower(at.get("product").str()), strings.ToLower(at.get("service").str())
	servers := []string{"apache", "apache2", "httpd", "nginx", "iis", "caddy", "traefik", "haproxy", "envoy", "lighttpd", "tomcat", "squid"}
	switch {
	case category == "webserver" || category == "proxy":
		return nil
	case category == "" && service == "access" || category == "" && slices.Contains(servers, product) && service == "":
		return nil
	case category == "" && (service == "iis" || product == "iis") && service != "iis-configuration":
		return nil
	case category == "" && slices.Contains(servers, service):
		return refuse(at, "log source: service %s is the server's error log; only access logs are read", service)
	case service == "error":
		return refuse(at, "log source: an error log; only access logs are read")
	}
	var parts []string
	for i, p := range []string{category, product, service} {
		if p != "" {
			parts = append(parts, []string{"category", "product", "service"}[i]+" "+p)
		}
	}
	return refuse(at, "log source %.120s: only web servers' and proxies' access logs are read (category webserver or proxy)", strings.Join(parts, ", "))
}

// output fills in what the rule says about itself.
func (s *source) output(opt Options) *output {
	at := s.at
	o := &output{sourceID: printable(s.id, 200), title: cut(oneLine(s.title), 200), severity: severity(at.get("level").str()),
		description: cut(paragraphs(at.get("description").str()), 4000), license: printable(at.get("license").str(), 200), suppress: suppress}
	o.author = cut(oneLine(strings.Join(at.get("author").texts(), ", ")), 1000)
	if o.license == "" {
		o.license = opt.License
	}
	refs := at.get("references")
	if refs == nil {
		refs = at.get("reference")
	}
	o.references = short(refs.texts())
	o.falsePositives = short(at.get("falsepositives").texts())
	for _, t := range at.get("tags").texts() {
		if t = strings.ToLower(t); tagForm.MatchString(t) && len(o.tags) < 32 && !slices.Contains(o.tags, t) {
			o.tags = append(o.tags, t)
		}
	}
	o.notes = append(o.notes, fmt.Sprintf("Imported from the Sigma rule in %s", printable(s.file[strings.LastIndexAny(s.file, `/\`)+1:], 120)))
	return o
}

var tagForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._:/-]{0,79}$`)

// suppress is how long the same client is not alerted on again.
const suppress = 10 * time.Minute

func severity(level string) string {
	switch level = strings.ToLower(level); level {
	case "low", "medium", "high", "critical":
		return level
	case "informational":
		return "info"
	}
	return "medium"
}

// short keeps at most 64 texts of bounded length.
func short(texts []string) []string {
	var out []string
	for _, t := range texts {
		if len(out) < 64 {
			out = append(out, cut(oneLine(t), 1000))
		}
	}
	return out
}
