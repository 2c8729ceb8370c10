package claims

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/warder/warder/internal/decision"
)

func TestRead(t *testing.T) {
	sent := map[string]string{"P": "alice", "T": "api_key", "N": "acme", "F": "ja4", "R": "/login"}
	for _, tt := range []struct {
		name string
		h    Headers
		want decision.Subject
	}{
		{name: "nothing is believed unless named"},
		{"all", Headers{Principal: "P", Type: "T", Tenant: "N", Fingerprint: "F", Route: "R"},
			decision.Subject{Principal: "alice", APIKey: true, Tenant: "acme", Fingerprint: "ja4", Route: "/login"}},
		{"no tenant without a principal", Headers{Tenant: "N"}, decision.Subject{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var q decision.Subject
			tt.h.Read(&q, func(name string) string { return sent[name] })
			if d := cmp.Diff(tt.want, q, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Error(d)
			}
		})
	}
	if err := (Headers{Type: "a:b"}).Validate(); err == nil || !strings.Contains(err.Error(), "principal_type:") {
		t.Error(err)
	}
}
