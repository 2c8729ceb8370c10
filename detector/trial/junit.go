package trial

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// The elements of a JUnit report, as Jenkins, GitLab and GitHub's actions read it: testsuites, a testsuite per rule file, a testcase
// per test. There is no standard; this is the part that all of them know, after
// https://github.com/testmoapp/junitxml.
type (
	junitSuites struct {
		XMLName  xml.Name      `xml:"testsuites"`
		Name     string        `xml:"name,attr"`
		Tests    int           `xml:"tests,attr"`
		Failures int           `xml:"failures,attr"`
		Errors   int           `xml:"errors,attr"`
		Time     string        `xml:"time,attr"`
		Suites   []*junitSuite `xml:"testsuite"`
		took     time.Duration
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		File     string      `xml:"file,attr"`
		Cases    []junitCase `xml:"testcase"`
		took     time.Duration
	}
	junitCase struct {
		Name    string      `xml:"name,attr"`
		Class   string      `xml:"classname,attr"`
		File    string      `xml:"file,attr"`
		Line    int         `xml:"line,attr"`
		Time    string      `xml:"time,attr"`
		Failure *junitFault `xml:"failure"`
		Error   *junitFault `xml:"error"`
	}
	junitFault struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the results as JUnit XML: a suite per rule file, in the order of the results. Characters that XML cannot hold are
// written as Go escapes.
func WriteJUnit(w io.Writer, results []Result) error {
	all := &junitSuites{Name: "warder rules"}
	byFile := map[string]*junitSuite{}
	for i := range results {
		r := &results[i]
		s := byFile[r.Rule.File]
		if s == nil {
			s = &junitSuite{Name: legal(r.Rule.File), File: legal(r.Rule.File)}
			byFile[r.Rule.File] = s
			all.Suites = append(all.Suites, s)
		}
		s.add(r)
	}
	for _, s := range all.Suites {
		s.Time = seconds(s.took)
		all.Tests, all.Failures, all.Errors, all.took = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors, all.took+s.took
	}
	all.Time = seconds(all.took)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(r *Result) {
	c := junitCase{Name: legal(r.Test), Class: r.Rule.ID, File: s.File, Line: r.Line, Time: seconds(r.Took)}
	switch {
	case r.Err != nil:
		s.Errors++
		c.Error = &junitFault{Message: legal(r.Err.Error()), Type: "fixture", Text: legal(r.Err.Error())}
	case !r.Passed():
		s.Failures++
		c.Failure = &junitFault{Message: legal(r.String()), Type: "alerts", Text: legal(r.First.String())}
	}
	s.Tests++
	s.took += r.Took
	s.Cases = append(s.Cases, c)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// String says in a few lines where the run departed from the test; "" for nil.
func (d *Difference) String() string {
	if d == nil {
		return ""
	}
	if d.Event == 0 {
		return d.Reason
	}
	var b strings.Builder
	fmt.Fprintf(&b, "event %d %s\n%s", d.Event, d.Reason, d.Time)
	for _, f := range d.Fields {
		fmt.Fprintf(&b, " %s=%s", f.Name, f.Value)
	}
	for i, v := range d.Values {
		if i == 0 {
			b.WriteString("\nwindow")
		}
		fmt.Fprintf(&b, " %s=%s", v.Name, v.Value)
	}
	return b.String()
}

// legal escapes what an XML 1.0 document cannot hold (https://www.w3.org/TR/xml/#charsets).
func legal(s string) string {
	var b strings.Builder
	for i, r := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\t', r == '\n', r >= ' ' && r <= 0xd7ff, r >= 0xe000 && r <= 0xfffd, r >= 0x10000:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
