package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

type mail struct {
	Smarthost string   `yaml:"smarthost"`
	Password  Secret   `yaml:"password"`
	Timeout   Duration `yaml:"timeout"`
	Limit     Bytes    `yaml:"limit"`
	To        []string `yaml:"to"`
}

func (m mail) Validate() error {
	var errs []error
	if m.Smarthost == "bad" {
		errs = append(errs, Errorf("smarthost", "%q is no host:port", m.Smarthost))
	}
	for i, to := range m.To {
		if !strings.Contains(to, "@") {
			errs = append(errs, Errorf(fmt.Sprintf("to[%d]", i), "%q is no address", to))
		}
	}
	return errors.Join(errs...)
}

type root struct {
	Name  string          `yaml:"name"`
	Sinks sinks           `yaml:"sinks"`
	Extra map[string]mail `yaml:"extra"`
}

type sinks struct {
	Email mail `yaml:"email"`
}

func (r root) Validate() error {
	errs := []error{In("sinks", In("email", r.Sinks.Email.Validate()))}
	if r.Name == "forbidden" {
		errs = append(errs, Errorf("name", "is forbidden"))
	}
	if r.Name == "plain" {
		errs = append(errs, errors.New("plain error"))
	}
	return errors.Join(errs...)
}

func TestDecodeErrors(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown key":        {"name: x\nnmae: y\n", `w.yaml:2: unknown field "nmae"`},
		"unknown nested key": {"name: x\nsinks:\n  email:\n    smarthots: y\n", `w.yaml:4: unknown field "smarthots"`},
		"wrong type":         {"name: x\nsinks:\n  email:\n    to: 7\n", "w.yaml:4: "},
		"map for text":       {"name: {a: b}\n", "w.yaml:1: "},
		"duplicate key":      {"name: x\nname: y\n", "w.yaml:2: "},
		"duplicate nested":   {"sinks:\n  email:\n    smarthost: a\n    smarthost: b\n", "w.yaml:4: "},
		"syntax":             {"name: x\n\tbad: [\n", "w.yaml:2: "},
		"open list":          {"name: [x\n", "w.yaml:1: "},
		"not a map":          {"- a\n- b\n", "w.yaml:1: "},
		"two documents":      {"name: x\n---\nname: y\n", "more than one YAML document"},
		"validation":         {"name: x\nsinks:\n  email:\n    to: [a@b, c]\n", `w.yaml:4: sinks.email.to[1]: "c" is no address`},
		"missing key":        {"sinks:\n  email: {to: [c]}\nname: forbidden\n", "w.yaml:3: name: is forbidden"},
		"error without key":  {"name: plain\n", "w.yaml: plain error"},
		"bad duration":       {"sinks:\n  email:\n    timeout: soon\n", "w.yaml:3: "},
		"duration text":      {"sinks:\n  email:\n    timeout: soon\n", `"soon" is not a duration`},
		"bad size":           {"sinks:\n  email:\n    limit: 10MB\n", `"10MB" is not a size`},
		"size line":          {"sinks:\n  email:\n    limit: 10MB\n", `w.yaml:3: `},
		"in a map":           {"extra:\n  a: {timeout: 5s}\n  b:\n    timeout: soon\n    limit: 5\n", "w.yaml:4: "},
		"alias":              {"name: &n soon\nsinks:\n  email:\n    timeout: *n\n", "w.yaml:1: "},
		"secret list":        {"sinks:\n  email:\n    password: [a]\n", "a secret is written"},
		"secret line":        {"sinks:\n  email:\n    password: [a]\n", "w.yaml:3: "},
		"secret both":        {"sinks:\n  email:\n    password: {file: a, env: b}\n", "not both"},
		"secret neither":     {"sinks:\n  email:\n    password: {}\n", "secret is empty"},
		"secret unknown key": {"sinks:\n  email:\n    password: {flie: a}\n", "a secret is written"},
		"secret no env":      {"sinks:\n  email:\n    password: {env: WARDER_TEST_NO_SUCH_VARIABLE}\n", "WARDER_TEST_NO_SUCH_VARIABLE is not set"},
		"secret no file":     {"sinks:\n  email:\n    password: {file: no/such/file}\n", "no/such/file"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Decode("w.yaml", []byte(tc.text), &root{})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v\nwant %s", err, tc.want)
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Errorf("%T is no *Error", err)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte("from file \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WARDER_TEST_SECRET", "from env")
	for text, want := range map[string]string{
		"literal":                         "literal",
		`"quoted # and: more"`:            "quoted # and: more",
		"{file: " + file + "}":            "from file ",
		"{env: WARDER_TEST_SECRET}":       "from env",
		"1234":                            "1234",
		"\n      env: WARDER_TEST_SECRET": "from env",
	} {
		r := root{Name: "default"}
		err := Decode("w.yaml", []byte("sinks:\n  email:\n    timeout: 7d\n    limit: 64KiB\n    password: "+text+"\n"), &r)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if r.Name != "default" || r.Sinks.Email.Timeout.Std() != 7*24*time.Hour || r.Sinks.Email.Limit != 64<<10 {
			t.Errorf("got %+v", r)
		}
		if got := r.Sinks.Email.Password.Reveal(); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"", "\n", "# nothing\n", "null\n"} {
		if err := Decode("w.yaml", []byte(text), &root{}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	s := NewSecret("geheim")
	y, err := yaml.Marshal(struct{ Password Secret }{s})
	if err != nil {
		t.Fatal(err)
	}
	txt, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), fmt.Sprintf("%+v", mail{Password: s}), string(y), string(txt)} {
		if strings.Contains(got, "geheim") {
			t.Errorf("printed: %s", got)
		}
	}
	if !s.IsSet() || (Secret{}).IsSet() {
		t.Error("IsSet is wrong")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "w.yaml")
	if err := os.WriteFile(file, []byte("name: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var r root
	if err := Load(file, &r); err != nil || r.Name != "x" {
		t.Errorf("%+v %v", r, err)
	}
	if err := Load(filepath.Join(dir, "none.yaml"), &r); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(file, make([]byte, MaxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Load(file, &r); err == nil || !strings.Contains(err.Error(), "limit is") {
		t.Errorf("got %v", err)
	}
}

func TestDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"300ms": 300 * time.Millisecond, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour,
		"0.5d": 12 * time.Hour, "0": 0} {
		if d, err := ParseDuration(s); err != nil || d.Std() != want {
			t.Errorf("%s: %s %v", s, d, err)
		}
	}
	for _, s := range []string{"", "d", "-1d", "99999d", "5", "1y", "NaNd", "Infd"} {
		if d, err := ParseDuration(s); err == nil {
			t.Errorf("%q was read as %s", s, d)
		}
	}
}

func TestBytes(t *testing.T) {
	for s, want := range map[string]Bytes{"0": 0, "512": 512, "64KiB": 64 << 10, "10 MiB": 10 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40} {
		var n Bytes
		if err := n.UnmarshalText([]byte(s)); err != nil || n != want {
			t.Errorf("%s: %d %v", s, n, err)
		}
		b, err := n.MarshalText()
		var back Bytes
		if err != nil || back.UnmarshalText(b) != nil || back != n {
			t.Errorf("%s was written %s", s, b)
		}
	}
	for _, s := range []string{"", "-1", "1KB", "1.5MiB", "9999999TiB", "MiB"} {
		var n Bytes
		if err := n.UnmarshalText([]byte(s)); err == nil {
			t.Errorf("%q was read as %d", s, n)
		}
	}
}

func TestIn(t *testing.T) {
	err := In("a", errors.Join(Errorf("b", "x"), Errorf("[0].c", "y"), errors.New("z")))
	if diff := cmp.Diff("a.b: x\na[0].c: y\na: z", err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if In("a", nil) != nil || In("a", errors.Join(nil, nil)) != nil {
		t.Error("nil does not stay nil")
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"name: x\n", "sinks: {email: {timeout: 5s, limit: 1MiB, password: a}}\n", "a: &a [*a]\n", "---\n---\n", "extra: {<<: {}}\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file") {
			return // would read what the text names
		}
		err := Decode("w.yaml", []byte(text), &root{})
		if err == nil {
			return
		}
		for _, e := range flatten(err) {
			var at *Error
			if !errors.As(e, &at) || at.File != "w.yaml" || at.Line < 0 {
				t.Fatalf("%q: %#v", text, e)
			}
		}
	})
}

func TestAt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "w.yaml")
	if err := os.WriteFile(file, []byte("name: x\nsinks:\n  email:\n    to: [c]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := errors.New("other")
	err := At(file, errors.Join(Errorf("sinks.email.smarthost", "is empty"), Errorf("extra", "is missing"), other))
	want := file + ":4: sinks.email.smarthost: is empty\n" + file + ": extra: is missing\nother"
	if err.Error() != want || !errors.Is(err, other) {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if err := At(file+".gone", Errorf("name", "is empty")); err.Error() != file+".gone: name: is empty" {
		t.Error(err)
	}
	if err := At(file, nil); err != nil {
		t.Error(err)
	}
}
