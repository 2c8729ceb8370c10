package nftables

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/warder/warder/internal/decision"
)

// table is what the kernel has.
type table struct {
	chains map[string][]string // by name: the chain itself, then its rules; also sets that cannot be Warder's
	spans  []span              // in order
}

// forever is the end of an element without one: Warder writes none such.
const forever = 100 * 365 * 24 * time.Hour

// The parts of what nft -j says (libnftables-json(5)) that count here.
type (
	listing struct {
		Objects []object `json:"nftables"`
	}
	object struct {
		Chain *chain `json:"chain"`
		Rule  *rule  `json:"rule"`
		Set   *set   `json:"set"`
	}
	chain struct {
		Name   string `json:"name"`
		Type   string `json:"type"`
		Hook   string `json:"hook"`
		Policy string `json:"policy"`
	}
	rule struct {
		Chain string                       `json:"chain"`
		Expr  []map[string]json.RawMessage `json:"expr"`
	}
	set struct {
		Name string            `json:"name"`
		Elem []json.RawMessage `json:"elem"`
	}
	element struct {
		Elem *struct {
			Value   json.RawMessage `json:"val"`
			Expires *int64          `json:"expires"` // seconds that are left
		} `json:"elem"`
	}
	value struct {
		Prefix *struct {
			Addr string `json:"addr"`
			Len  int    `json:"len"`
		} `json:"prefix"`
		Range []string `json:"range"`
	}
)

// decode reads what nft said of the table at the time now.
func decode(text []byte, now time.Time) (*table, error) {
	var l listing
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, fmt.Errorf("read what nft -j says: %w", err)
	}
	t := &table{chains: map[string][]string{}}
	for _, o := range l.Objects {
		switch {
		case o.Chain != nil:
			c := o.Chain
			t.chains[c.Name] = append([]string{c.Type + " " + c.Hook + " " + c.Policy}, t.chains[c.Name]...)
		case o.Rule != nil:
			t.chains[o.Rule.Chain] = append(t.chains[o.Rule.Chain], o.Rule.sum())
		case o.Set != nil:
			if err := t.add(o.Set, now); err != nil {
				t.chains["set "+o.Set.Name] = []string{err.Error()}
			}
		}
	}
	slices.SortFunc(t.spans, func(a, b span) int { return a.first.Compare(b.first) })
	return t, nil
}

// sum says in a few words what a rule compares with and does; releases of nft differ in the rest.
func (r *rule) sum() (s string) {
	for _, e := range r.Expr {
		for name, x := range e {
			var m struct {
				Right any `json:"right"`
			}
			if name == "match" && json.Unmarshal(x, &m) == nil {
				name = fmt.Sprint(m.Right)
			}
			s += name + " "
		}
	}
	return s
}

func (t *table) add(s *set, now time.Time) error {
	if s.Name != blocked4 && s.Name != blocked6 {
		return errors.New("is not Warder's")
	}
	for _, text := range s.Elem {
		val, until := text, now.Add(forever)
		var e element
		if text[0] == '{' {
			if err := json.Unmarshal(text, &e); err != nil {
				return err
			}
		}
		if e.Elem != nil {
			val = e.Elem.Value
			if x := e.Elem.Expires; x != nil {
				until = now.Add(time.Duration(min(max(0, *x), int64(forever/time.Second))) * time.Second)
			}
		}
		first, last, err := addresses(val)
		if err != nil {
			return err
		}
		t.spans = append(t.spans, span{first, last, until})
	}
	return nil
}

// addresses reads one address, a prefix or a range.
func addresses(text json.RawMessage) (first, to netip.Addr, err error) {
	var one string
	if json.Unmarshal(text, &one) == nil {
		a, err := netip.ParseAddr(one)
		return a, a, err
	}
	var v value
	if err := json.Unmarshal(text, &v); err != nil {
		return first, to, err
	}
	switch {
	case v.Prefix != nil:
		p, err := decision.Prefix(fmt.Sprintf("%s/%d", v.Prefix.Addr, v.Prefix.Len))
		if err != nil {
			return first, to, err
		}
		return p.Addr(), last(p), nil
	case len(v.Range) == 2:
		from, err1 := netip.ParseAddr(v.Range[0])
		to, err2 := netip.ParseAddr(v.Range[1])
		return from, to, errors.Join(err1, err2)
	}
	return first, to, fmt.Errorf("%.80q is no address, prefix or range", text)
}
