package rules

import (
	"strings"
	"testing"
	"testing/fstest"
)

// TestForeignWords checks that what other rule languages say is answered with what CEL says.
func TestForeignWords(t *testing.T) {
	for filter, want := range map[string]string{
		`request.path =~ "a"`:                          `4:16: rule "r": filter: Syntax error: token recognition error at: '=~': CEL has no =~: write text.matches("pattern")`,
		`response.code = 404`:                          "equality is written ==",
		`response.code == 404 and request.path == "/"`: "and is written &&",
		`response.code == 404 OR request.path == "/"`:  "or is written ||",
		`request.path like "a%"`:                       `write text.contains("…")`,
		`response.code in (401, 403)`:                  "in brackets: x in [1, 2]",
		`not (response.code == 404)`:                   "not is written !",
		`len(request.path) > 3`:                        "the length is size(text)",
		`request.path.toLowerCase() == "a"`:            "lower case is text.lowerAscii()",
		`request.path.includes("a")`:                   `write text.contains("…")`,
		`request.path != null`:                         `the empty text, ""`,
		`request.duration > 5`:                         `duration("5s")`,
		`response.code == "404"`:                       "a number is written without quotes",
		`request.path == 4`:                            "a text is written in quotes",
		`source.address in cidr("10.0.0.0/8")`:         "containsIP(source.address)",
		`event.time > "2026"`:                          `timestamp("2027-01-31T00:00:00Z")`,
	} {
		_, err := Load(fstest.MapFS{"r.yaml": {Data: []byte("id: r\ntitle: R\nfilter: |\n  " + filter + "\n")}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", filter, err, want)
		}
	}
}
