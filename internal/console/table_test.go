package console

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	table := NewTable("rule", "who", "example")
	table.Row("sql-injection", "203.0.113.9", "GET /items?id=1 UNION SELECT 200")
	table.Row("xss", "2001:db8::9", "GET /ünï")
	for width, want := range map[int]string{
		0: `rule           who          example
sql-injection  203.0.113.9  GET /items?id=1 UNION SELECT 200
xss            2001:db8::9  GET /ünï
`,
		60: `rule           who          example
sql-injection  203.0.113.9  GET /items?id=1 UNION SELECT 200
xss            2001:db8::9  GET /ünï
`,
		50: `rule           who          example
sql-injection  203.0.113.9  GET /items?id=1 UNION…
xss            2001:db8::9  GET /ünï
`,
		40: `rule           who
sql-injection  203.0.113.9
xss            2001:db8::9
`,
		5: `rule
sql-injection
xss
`,
	} {
		var b bytes.Buffer
		if err := table.Write(&b, NewPalette(false), width); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("width %d: %s", width, diff)
		}
	}
}

// Colour takes no room.
func TestTablePainted(t *testing.T) {
	p := NewPalette(true)
	table := NewTable()
	table.Row(p.Red("high"), "a long text that has to be cut somewhere")
	table.Row("low", "b")
	var b bytes.Buffer
	if err := table.Write(&b, p, 30); err != nil {
		t.Fatal(err)
	}
	want := p.Red("high") + "  a long text that has to…\nlow   b\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestNoTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsTerminal(f) || WantsColour(f) || Width(f) != 0 || IsTerminal(&bytes.Buffer{}) || Width(&bytes.Buffer{}) != 0 {
		t.Error("a file and a buffer are no terminals")
	}
}
