package privacy_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warder/warder/internal/alert"
	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/event"
	"github.com/warder/warder/internal/privacy"
)

const someKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func pseudonyms(t *testing.T, key string, fields ...string) *privacy.Pseudonyms {
	t.Helper()
	p, err := privacy.New(privacy.Config{Pseudonymise: fields, Key: config.NewSecret(key)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What was stored must stay findable: the pseudonyms of a key never change.
func TestPseudonymsStayTheSame(t *testing.T) {
	p := pseudonyms(t, someKey, privacy.Principals, privacy.Addresses)
	if got, want := p.Principal("alice"), "pseudonym:hmtbsd44br2zbeviduevvnrzqi"; got != want {
		t.Errorf("alice is %s, was %s", got, want)
	}
	if got, want := p.Address(netip.MustParseAddr("203.0.113.9")).String(), "fdc5:1395:dde5:db8e:192f:15f3:4ac0:3edd"; got != want {
		t.Errorf("203.0.113.9 is %s, was %s", got, want)
	}
	if again := p.Principal("alice"); again != "pseudonym:hmtbsd44br2zbeviduevvnrzqi" || again == p.Principal("bob") {
		t.Error("pseudonyms do not tell people apart")
	}
	if a := netip.MustParseAddr("203.0.113.9"); p.Address(a) != p.Address(netip.AddrFrom16(a.As16())) {
		t.Error("an address and its IPv6 form differ")
	}
	if p.Principal("") != "" || p.Address(netip.Addr{}).IsValid() {
		t.Error("nobody has a pseudonym")
	}
	other := pseudonyms(t, strings.Repeat("ab", privacy.KeySize), privacy.Principals, privacy.Addresses)
	if other.Principal("alice") == p.Principal("alice") {
		t.Error("another key gives the same pseudonym")
	}
}

func TestOnlyWhatIsAsked(t *testing.T) {
	a := netip.MustParseAddr("203.0.113.9")
	if p := pseudonyms(t, someKey, privacy.Principals); p.Address(a) != a {
		t.Error("the address is replaced, too")
	}
	if p := pseudonyms(t, someKey, privacy.Addresses); p.Principal("alice") != "alice" {
		t.Error("the principal is replaced, too")
	}
	var none *privacy.Pseudonyms
	e := &event.Event{Principal: event.Principal{ID: "alice"}}
	none.Event(e)
	none.Alert(&alert.Alert{Group: map[string]string{"principal.id": "alice"}})
	none.Decision(&decision.Decision{})
	if e.Principal.ID != "alice" || none.Principal("alice") != "alice" || none.Address(a) != a {
		t.Error("without pseudonyms something is replaced")
	}
}

// Nothing of the person is left in the records.
func TestRecords(t *testing.T) {
	p := pseudonyms(t, someKey, privacy.Principals, privacy.Addresses)
	addr := netip.MustParseAddr("203.0.113.9")
	alice, where := p.Principal("alice"), p.Address(addr).String()

	e := &event.Event{Principal: event.Principal{ID: "alice", Tenant: "acme"}, Source: event.Source{Address: addr, Peer: addr, Port: 4711, Country: "AT"},
		Request: event.RequestInfo{Headers: map[string]string{"x-forwarded-for": "203.0.113.9", "accept": "*/*"}}}
	p.Event(e)
	want := &event.Event{Principal: event.Principal{ID: alice, Tenant: "acme"}, Source: event.Source{Address: p.Address(addr), Peer: p.Address(addr), Country: "AT"},
		Request: event.RequestInfo{Headers: map[string]string{"accept": "*/*"}}}
	if diff := cmp.Diff(want, e, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}

	a := &alert.Alert{Group: map[string]string{"principal.id": "alice", "source.address": "203.0.113.9", "api.route": "/"},
		Texts: map[string]string{"top": "203.0.113.9"}, Sample: &alert.Sample{Principal: "alice", Address: "203.0.113.9"}}
	p.Alert(a)
	if diff := cmp.Diff(&alert.Alert{Group: map[string]string{"principal.id": alice, "source.address": where, "api.route": "/"},
		Texts: map[string]string{"top": where}, Sample: &alert.Sample{Principal: alice, Address: where}}, a); diff != "" {
		t.Errorf("alert (-want +got):\n%s", diff)
	}

	d := &decision.Decision{Scope: decision.Address, Value: "203.0.113.9", And: []decision.Term{{Scope: decision.APIKey, Value: "alice"}, {Scope: decision.Country, Value: "AT"}}}
	p.Decision(d)
	if diff := cmp.Diff(&decision.Decision{Scope: decision.Address, Value: where,
		And: []decision.Term{{Scope: decision.APIKey, Value: alice}, {Scope: decision.Country, Value: "AT"}}}, d); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  privacy.Config
		want string
	}{
		{"nothing", privacy.Config{}, ""},
		{"all", privacy.Config{Pseudonymise: []string{"principal", "address"}, Key: config.NewSecret(someKey)}, ""},
		{"unknown field", privacy.Config{Pseudonymise: []string{"email"}, Key: config.NewSecret(someKey)}, `pseudonymise[0]: "email" is unknown`},
		{"no key", privacy.Config{Pseudonymise: []string{"principal"}}, "warder privacy key new FILE"},
		{"short key", privacy.Config{Pseudonymise: []string{"principal"}, Key: config.NewSecret("abcd")}, "has 4 characters"},
		{"no digits", privacy.Config{Pseudonymise: []string{"principal"}, Key: config.NewSecret(strings.Repeat("xy", 32))}, "not hexadecimal"},
		{"destroyed", privacy.Config{Pseudonymise: []string{"principal"}, Key: config.NewSecret(strings.Repeat("0", 64))}, "as a destroyed key is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.cfg.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), someKey) {
				t.Error("the error shows the key")
			}
		})
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := privacy.NewKeyFile(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pseudonyms(t, string(text), privacy.Principals)
	if err = privacy.NewKeyFile(path); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a key is overwritten: %v", err)
	}
	if err = privacy.DestroyKeyFile(path); err != nil {
		t.Fatal(err)
	}
	if _, err = os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	other := filepath.Join(t.TempDir(), "notes.txt")
	if err = os.WriteFile(other, []byte("not a key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err = privacy.DestroyKeyFile(other); err == nil {
		t.Error("a file that is no key is destroyed")
	}
}
