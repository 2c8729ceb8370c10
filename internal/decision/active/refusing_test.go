package active

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/warder/warder/internal/decision"
)

// Refusing finds what Check finds when that is an enforced block or challenge, whatever the switch says, and nothing otherwise.
func TestRefusingIsWhatCheckFinds(t *testing.T) {
	now := time.Now()
	w := &world{Rand: rand.New(rand.NewPCG(7, 7))}
	s, err := openAt(file(t), nil, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found := 0
	for i := range 5000 {
		if i%200 == 0 {
			s.Sync()
			s.Throw([]decision.Mode{decision.Enforce, decision.Observe}[i/200%2])
		}
		s.Apply(w.decision(now))
		q, want := w.subject(), (*decision.Decision)(nil)
		if d := s.Check(q, now).Decision; d != nil && rank(d) <= enforceChallenge {
			want = d
			found++
		}
		if got := s.Refusing(q, now); got != want {
			t.Fatalf("%+v: got %+v, want %+v", *q, got, want)
		}
	}
	if found < 100 {
		t.Errorf("only %d requests met a decision", found)
	}
}
