package rules

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestHostileFiles loads what nobody writes in good faith, or what an editor leaves behind: each is refused with its place and
// what to do, or read as it was meant.
func TestHostileFiles(t *testing.T) {
	rule := "id: r\ntitle: R\nfilter: response.code == 404\n"
	cases := []struct{ name, text, want string }{
		{"byte order mark", "\ufeff" + rule, ""},
		{"byte order mark and a fault", "\ufeffid: r\ntitle: R\nfilter: response.cod == 4\n", `r.yaml:3:9: rule "r": filter: unknown field "response.cod"`},
		{"brackets", "id: r\nfilter: " + strings.Repeat("[", 100_000), "r.yaml:2:69: is nested more than 60 deep"},
		{"dashes", strings.Repeat("- ", 100_000) + "a", "r.yaml:1:121: is nested more than 60 deep"},
		{"braces", "a: " + strings.Repeat("{a: ", 100_000), "is nested more than 60 deep"},
		{"UTF-16", "\xff\xfei\x00d\x00", "r.yaml:1: is UTF-16: save the file as UTF-8"},
		{"no UTF-8", "id: r\ntitle: é\xff\n", "r.yaml:2:9: the byte 0xff is not UTF-8: save the file as UTF-8"},
		{"NUL", "id: r\ntitle: a\x00b\n", `r.yaml:2:9: the control character U+0000 is not allowed: in quotes it can be written as "\x00"`},
		{"terminal", "id: r\ntitle: \x1b[31m\n", `r.yaml:2:8: the control character U+001B`},
		{"C1 controls", "id: r\ntitle: \u009b31m\n", `r.yaml:2:8: the control character U+009B`},
		{"IPv6 in a flow list", "kind: lists\nlists:\n  a: {values: [2001:db8::/32], type: network}\n", "r.yaml:3:20: want one value, not a list or a mapping; put a text with a colon, such as an IPv6 address, into quotes"},
		{"JSON over several lines", "{\n  \"id\": \"r\",\n  \"title\": \"R\",\n  \"filter\": \"response.cod == 4\"\n}\n", "r.yaml:4:14: "},
	}
	for _, c := range cases {
		_, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(c.text)}})
		got := fmt.Sprint(err)
		if c.want == "" && err != nil || c.want != "" && !strings.Contains(got, c.want) {
			t.Errorf("%s: %.300s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestOnlyRegularFilesAreRead(t *testing.T) {
	fsys := fstest.MapFS{
		"pipe.yaml": {Mode: fs.ModeNamedPipe},
		"r.yaml":    {Data: []byte("kind: lists\nlists:\n  a: {file: device}\n---\nid: r\ntitle: R\nfilter: response.code == 401\ntests: [{name: t, events: socket, expect: []}]\n")},
		"device":    {Mode: fs.ModeDevice},
		"socket":    {Mode: fs.ModeSocket},
	}
	var got []string
	for _, f := range Lint(fsys) {
		if f.Level == LevelError {
			first, _, _ := strings.Cut(f.Msg, "\n")
			got = append(got, first)
		}
	}
	want := []string{
		"pipe.yaml: read rules: is no regular file: pipes and devices are not read",
		"r.yaml:3:13: lists.a: read device: is no regular file: pipes and devices are not read",
		`test "t": fixture socket: is no regular file: pipes and devices are not read`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestManyFaults(t *testing.T) {
	var text strings.Builder
	for i := range 3 * maxFaults {
		fmt.Fprintf(&text, "---\nid: r%d\ntitle: R\nfilter: respons.code == 1\n", i)
	}
	_, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(text.String())}})
	got := flatten(err)
	if len(got) != maxFaults+1 || got[maxFaults].Error() != ".: more than 200 faults: mend these first" {
		t.Errorf("%d faults, the last is %v", len(got), got[len(got)-1])
	}
}

// TestListsInAll checks that lists are bounded together, not only each.
func TestListsInAll(t *testing.T) {
	var values strings.Builder
	for i := range MaxListSize {
		fmt.Fprintf(&values, "%d\n", i)
	}
	fsys := fstest.MapFS{
		"l.txt":  {Data: []byte(values.String())},
		"r.yaml": {Data: []byte("kind: lists\nlists:\n  a: {file: l.txt}\n  b: {file: l.txt}\n  c: {values: [x]}\n")},
	}
	_, err := Load(fsys)
	if err == nil || !strings.HasPrefix(err.Error(), "r.yaml:5:3: lists.c: all lists together have more than 2000000 values: shorten this one") {
		t.Errorf("%v", err)
	}
}

// TestPlacesOfLaterDocuments checks that what is read again of a rule keeps its lines.
func TestPlacesOfLaterDocuments(t *testing.T) {
	text := "# one\nid: a\ntitle: A\nfilter: response.code == 401\n---\n\n# two\nid: b\ntitle: B\nfilter: |\n  request.path == \"é\" &&\n    response.code == 402\n---\n{\n  \"id\": \"c\",\n  \"title\": \"C\",\n  \"filter\": \"response.code == 403\"\n}\n"
	set, err := Load(fstest.MapFS{"r.yaml": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range set.Rules() {
		filter := r.Parts()[0]
		line, column := filter.Place(strings.Index(filter.Text, "response"))
		got = append(got, fmt.Sprintf("%s:%d:%d", r.ID, line, column))
	}
	if d := cmp.Diff([]string{"a:4:9", "b:12:5", "c:17:14"}, got); d != "" {
		t.Error(d)
	}
}
