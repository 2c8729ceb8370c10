package decision

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sample() *Decision {
	at := time.Date(2026, 10, 10, 13, 55, 36, 0, time.UTC)
	return &Decision{
		Version: Version, ID: NewID("alert", Limit, Term{Address, "203.0.113.9"}), Action: Limit, Scope: Address, Value: "203.0.113.9",
		Rate: &Rate{Requests: 10, Per: time.Second, Burst: 20}, Mode: Enforce, State: Active, Creator: "rule:r",
		Reason:  Reason{Alert: "alert", Rule: "r", Event: "e", EventTime: at},
		Created: at, Expires: at.Add(time.Minute),
	}
}

func TestRoundTrip(t *testing.T) {
	want := sample()
	b, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if string(got.Key()) != "limit|source.address|203.0.113.9" {
		t.Errorf("key %s", got.Key())
	}
}

func TestNewID(t *testing.T) {
	base := NewID("a", Block, Term{Address, "203.0.113.9"})
	if len(base) != 32 || base != NewID("a", Block, Term{Address, "203.0.113.9"}) {
		t.Errorf("id %q", base)
	}
	for _, id := range []string{NewID("b", Block, Term{Address, "203.0.113.9"}), NewID("a", Limit, Term{Address, "203.0.113.9"}),
		NewID("a", Block, Term{Principal, "203.0.113.9"}), NewID("a", Block, Term{Address, "203.0.113.8"})} {
		if id == base {
			t.Error("another decision has the same id")
		}
	}
}

func TestApplies(t *testing.T) {
	d := sample()
	for _, tc := range []struct {
		state State
		at    time.Time
		want  bool
	}{
		{Active, d.Created, true},
		{Active, d.Expires.Add(-1), true},
		{Active, d.Expires, false},
		{Proposed, d.Created, false},
		{Expired, d.Created, false},
		{Revoked, d.Created, false},
	} {
		d.State = tc.state
		if got := d.Applies(tc.at); got != tc.want {
			t.Errorf("%s at %s: %v", tc.state, tc.at, got)
		}
	}
}

func TestValidate(t *testing.T) {
	if err := sample().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Decision){
		"id is missing":              func(d *Decision) { d.ID = "" },
		"value has 0 bytes":          func(d *Decision) { d.Value = "" },
		"value has 513 bytes":        func(d *Decision) { d.Value = strings.Repeat("x", 513) },
		"every decision must expire": func(d *Decision) { d.Expires = time.Time{} },
		"is not after created":       func(d *Decision) { d.Expires = d.Created },
		"a limit needs a rate":       func(d *Decision) { d.Rate = nil },
		"burst above zero":           func(d *Decision) { d.Rate = &Rate{Requests: 1, Per: 1} },
		"unknown action":             func(d *Decision) { d.Action = "drop" },
		"unknown scope":              func(d *Decision) { d.Scope = "planet" },
		"value: ":                    func(d *Decision) { d.Value = "203.0.113.9/32" },
		"no '/'":                     func(d *Decision) { d.Scope = CIDR },
		"unknown state":              func(d *Decision) { d.State = "" },
		"unknown mode":               func(d *Decision) { d.Mode = "" },
	} {
		d := sample()
		change(d)
		if err := d.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		b, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b); err == nil {
			t.Errorf("%q: Decode accepted it", want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"{", "decode decision"},
		{`{"v":3}`, "schema version 3"},
		{strings.Repeat(" ", MaxEncoded+1), "limit is"},
	} {
		if _, err := Decode([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Decode(b)
		if err != nil {
			return
		}
		if err := d.Validate(); err != nil {
			t.Fatal(err)
		}
		first, err := d.Encode()
		if err != nil || len(first) > MaxEncoded {
			return
		}
		again, err := Decode(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.Encode(); err != nil || string(first) != string(second) {
			t.Fatalf("%s\n%s", first, second)
		}
	})
}
