package ledger_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/warder/warder/internal/decision"
	"github.com/warder/warder/internal/decision/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noon() time.Time { return time.Date(2026, 10, 10, 12, 0, 0, 0, time.UTC) }

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// writer appends entries to one chain.
type writer struct {
	chain  string
	key    ed25519.PrivateKey
	seq    uint64
	prev   string
	offset int64
	lines  [][]byte
}

func newWriter(chain string, k ed25519.PrivateKey) *writer {
	w := &writer{chain: chain, key: k, prev: ledger.Zero(), offset: -1}
	w.start()
	return w
}

func (w *writer) start() {
	w.write(&ledger.Entry{Kind: ledger.Start, Public: hex.EncodeToString(public(w.key))})
}

func (w *writer) write(e *ledger.Entry) {
	e.Version, e.Chain, e.Seq, e.Prev, e.Key = ledger.Version, w.chain, w.seq+1, w.prev, ledger.Fingerprint(public(w.key))
	if e.Time.IsZero() {
		e.Time = noon().Add(time.Duration(w.seq) * time.Second)
	}
	l, err := ledger.Seal(e, w.key)
	if err != nil {
		panic(err)
	}
	w.seq, w.prev = e.Seq, l.Hash
	w.lines = append(w.lines, l.Text())
}

// tell writes an entry about the next record.
func (w *writer) tell(e *ledger.Entry) {
	w.offset++
	e.Source = &ledger.Source{Topic: "warder." + w.chain, Offset: w.offset, SHA256: ledger.Sum([]byte(fmt.Sprint(w.offset)))}
	w.write(e)
}

func (w *writer) decision(kind ledger.Kind, id string, change func(*ledger.Entry)) {
	e := &ledger.Entry{Kind: kind, Decision: id, Entity: "source.address=203.0.113.9", Action: decision.Block, Mode: decision.Enforce,
		Creator: "rule:r", Reason: &decision.Reason{Rule: "r"}, Expires: noon().Add(time.Hour)}
	if change != nil {
		change(e)
	}
	w.tell(e)
}

func (w *writer) head() ledger.Head { return ledger.Head{Chain: w.chain, Seq: w.seq, Hash: w.prev} }

// clean is a ledger of two chains and two keys.
func clean() (lines [][]byte, heads []ledger.Head) {
	d, a := newWriter(ledger.Decisions, key(1)), newWriter(ledger.Acks, key(2))
	from := int64(-1)
	for i := range 4 {
		d.decision(ledger.Active, fmt.Sprint("d", i), nil)
		a.tell(&ledger.Entry{Kind: ledger.Ack, From: &from, Gateway: &decision.Ack{Version: 1, Gateway: "edge", Offset: int64(i)}})
		d.decision(ledger.Expired, fmt.Sprint("d", i), nil)
		if i == 1 {
			d.key = key(2)
			d.start()
		}
	}
	for i := range max(len(d.lines), len(a.lines)) {
		lines = append(lines, d.lines[min(i, len(d.lines)):min(i+1, len(d.lines))]...)
		lines = append(lines, a.lines[min(i, len(a.lines)):min(i+1, len(a.lines))]...)
	}
	return lines, []ledger.Head{d.head(), a.head()}
}

func verify(opts ledger.Options, text []byte) ledger.Report {
	opts.Problems = 5
	v := ledger.NewVerifier(opts)
	_ = ledger.Lines(bytes.NewReader(text), func(b []byte) error { v.Line(b); return nil }) // a reader of bytes does not fail
	return v.Finish()
}

func join(lines [][]byte) []byte { return append(bytes.Join(lines, []byte("\n")), '\n') }

func TestCleanLedger(t *testing.T) {
	lines, heads := clean()
	rep := verify(ledger.Options{Heads: heads, Keys: []ed25519.PublicKey{public(key(1)), public(key(2))}}, join(lines))
	if rep.Total != 0 || rep.Entries != uint64(len(lines)) || !rep.Pinned || len(rep.Chains) != 2 || rep.Chains[1].Head != heads[0] {
		t.Errorf("%+v", rep)
	}
}

// found tells whether a verification notices that the text is not the clean ledger.
func found(rep ledger.Report) bool {
	if rep.Total > 0 {
		return true
	}
	for _, c := range rep.Chains {
		if c.Repeats > 0 {
			return true
		}
	}
	return false
}

// Every byte of every line matters.
func TestEveryByte(t *testing.T) {
	lines, _ := clean()
	text := join(lines[:5])
	for i := range text[:len(text)-1] {
		bad := slices.Clone(text)
		bad[i] ^= []byte{0x01, 0x20, 0x80}[i%3]
		if !found(verify(ledger.Options{}, bad)) {
			t.Fatalf("byte %d, %q as %q, was not found", i, text[i], bad[i])
		}
	}
}

// Whatever is done to the lines is found.
func TestEveryLine(t *testing.T) {
	lines, heads := clean()
	foreign := newWriter(ledger.Decisions, key(9))
	foreign.decision(ledger.Active, "evil", nil)
	opts := ledger.Options{Heads: heads}
	for i := range lines {
		check := func(what string, bad [][]byte) {
			t.Helper()
			if !found(verify(opts, join(bad))) {
				t.Errorf("%s at line %d was not found", what, i+1)
			}
		}
		check("deletion", slices.Delete(slices.Clone(lines), i, i+1))
		check("truncation", lines[:i])
		for j := range lines {
			check("duplicate", slices.Insert(slices.Clone(lines), i, lines[j]))
			if chainOf(lines[i]) == chainOf(lines[j]) && i != j {
				bad := slices.Clone(lines)
				bad[i], bad[j] = bad[j], bad[i]
				check("swap", bad)
			}
		}
		for _, f := range foreign.lines {
			check("insertion", slices.Insert(slices.Clone(lines), i, f))
		}
	}
}

func chainOf(line []byte) bool { return bytes.Contains(line, []byte(`"chain":"decisions"`)) }

func TestProblems(t *testing.T) {
	for name, c := range map[string]struct {
		write func(w *writer)
		opts  ledger.Options
		want  ledger.Code
		says  string
	}{
		"nobody": {func(w *writer) {
			w.decision(ledger.Active, "d", func(e *ledger.Entry) { e.Creator, e.Reason = "x:y", nil })
			w.decision(ledger.Expired, "d", nil)
		}, ledger.Options{}, ledger.CodeNobody, "neither a rule nor a person"},
		"approval":  {func(w *writer) { w.decision(ledger.Approved, "d", nil); w.decision(ledger.Expired, "d", nil) }, ledger.Options{}, ledger.CodeNobody, "nobody's approval"},
		"no expiry": {func(w *writer) { w.decision(ledger.Active, "d", func(e *ledger.Entry) { e.Expires = time.Time{} }) }, ledger.Options{}, ledger.CodeNoExpiry, "without an expiry"},
		"no end": {func(w *writer) {
			w.decision(ledger.Active, "d", nil)
			w.decision(ledger.Active, "e", func(e *ledger.Entry) {
				e.Entity, e.Time, e.Expires = "x=y", noon().Add(3*time.Hour), noon().Add(4*time.Hour)
			})
		}, ledger.Options{}, ledger.CodeNoEnd, "its end was not written"},
		"clock": {func(w *writer) {
			w.tell(&ledger.Entry{Kind: ledger.Switched, Time: noon().Add(time.Hour)})
			w.tell(&ledger.Entry{Kind: ledger.Switched, Time: noon()})
		}, ledger.Options{}, ledger.CodeClock, "time goes back"},
		"source": {func(w *writer) {
			w.tell(&ledger.Entry{Kind: ledger.Switched})
			w.offset--
			w.tell(&ledger.Entry{Kind: ledger.Switched})
		}, ledger.Options{},
			ledger.CodeSource, "tells of record 0"},
		"foreign key": {func(*writer) {}, ledger.Options{Keys: []ed25519.PublicKey{public(key(3))}}, ledger.CodeKey, "not among the public keys"},
		"not joined":  {func(w *writer) { w.key = key(3); w.tell(&ledger.Entry{Kind: ledger.Switched}) }, ledger.Options{}, ledger.CodeKey, "has not joined"},
		"cut off": {func(*writer) {}, ledger.Options{Heads: []ledger.Head{{Chain: ledger.Decisions, Seq: 9, Hash: ledger.Zero()}}}, ledger.CodeTruncated,
			"ends at 1, entry 9 was noted"},
		"another head": {func(*writer) {}, ledger.Options{Heads: []ledger.Head{{Chain: ledger.Decisions, Seq: 1, Hash: ledger.Zero()}}}, ledger.CodeHead,
			"not the one that was noted"},
		"signature": {func(w *writer) {
			text := w.lines[0]
			text[150] = "0123456789abcdef1"[strings.IndexByte("0123456789abcdef", text[150])+1]
		}, ledger.Options{}, ledger.CodeSignature, "signature is not"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWriter(ledger.Decisions, key(1))
			c.write(w)
			rep := verify(c.opts, join(w.lines))
			if rep.Total != 1 || rep.Problems[0].Code != c.want || !strings.Contains(rep.Problems[0].Says, c.says) {
				t.Errorf("%+v", rep)
			}
		})
	}
}

// What two writers at once leave behind is harmless, and nothing else is.
func TestForks(t *testing.T) {
	a := newWriter(ledger.Decisions, key(1))
	b := *a
	b.lines = nil
	b.key = key(2)
	a.decision(ledger.Active, "d", nil)
	b.start()
	b.decision(ledger.Active, "d", nil)
	b.decision(ledger.Expired, "d", nil)
	a.lines = append(a.lines, b.lines...) // the slower one
	a.decision(ledger.Expired, "d", nil)
	a.key = key(2)
	a.start()
	rep := verify(ledger.Options{}, join(a.lines))
	if rep.Total != 0 || rep.Chains[0].Forks != 3 || rep.Entries != 4 {
		t.Errorf("%+v", rep)
	}
	c := newWriter(ledger.Decisions, key(1))
	d := *c
	d.lines = nil
	c.decision(ledger.Active, "d", nil)
	d.decision(ledger.Active, "another", func(e *ledger.Entry) { e.Note = "x" })
	e := d
	e.offset, e.lines = 7, nil
	e.decision(ledger.Active, "third", nil)
	rep = verify(ledger.Options{}, join(slices.Concat(c.lines, d.lines, e.lines)))
	if rep.Total != 1 || rep.Problems[0].Code != ledger.CodeMisplaced || rep.Problems[0].Line != 4 {
		t.Errorf("%+v", rep)
	}
}

func TestUnseenRecordsAreCounted(t *testing.T) {
	w := newWriter(ledger.Decisions, key(1))
	w.offset = 9
	w.tell(&ledger.Entry{Kind: ledger.Switched})
	w.offset = 19
	w.tell(&ledger.Entry{Kind: ledger.Switched})
	if rep := verify(ledger.Options{}, join(w.lines)); rep.Total != 0 || rep.Chains[0].Unseen != 19 {
		t.Errorf("%+v", rep)
	}
}

func TestKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "audit.key")
	k, err := ledger.OpenKey(file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ledger.OpenKey(file)
	if err != nil || !k.Equal(again) {
		t.Errorf("another key, %v", err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	pub, err := ledger.ReadPublic(ledger.PublicFile(file))
	if err != nil || !pub.Equal(k.Public()) {
		t.Errorf("public key: %v", err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.OpenKey(file); err == nil || !strings.Contains(err.Error(), "holds no PEM block") {
		t.Errorf("got %v", err)
	}
}

func TestParseHead(t *testing.T) {
	want := ledger.Head{Chain: ledger.Acks, Seq: 7, Hash: ledger.Zero()}
	got, err := ledger.ParseHead(want.String())
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, bad := range []string{"", "acks:7", "x:7:" + ledger.Zero(), "acks:0:" + ledger.Zero(), "acks:7:00"} {
		if _, err := ledger.ParseHead(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestLongLine(t *testing.T) {
	lines, _ := clean()
	rep := verify(ledger.Options{}, slices.Concat(bytes.Repeat([]byte("x"), 5*ledger.MaxLine), []byte("\n"), join(lines)))
	if rep.Total != 1 || rep.Lines != uint64(len(lines))+1 {
		t.Errorf("%+v", rep)
	}
}

// FuzzTamper mutates a clean ledger at random places.
func FuzzTamper(f *testing.F) {
	lines, heads := clean()
	f.Add(uint64(1), uint8(0))
	f.Add(uint64(2), uint8(1))
	f.Add(uint64(3), uint8(2))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) {
		r := rand.New(rand.NewPCG(seed, 0))
		bad := slices.Clone(lines)
		for range n%4 + 1 {
			i, j := r.IntN(len(bad)), r.IntN(len(bad))
			switch r.IntN(4) {
			case 0:
				bad = slices.Delete(bad, i, i+1)
			case 1:
				bad = slices.Insert(bad, i, bad[j])
			case 2:
				bad[i], bad[j] = bad[j], bad[i]
			case 3:
				line := slices.Clone(bad[i])
				line[r.IntN(len(line))] ^= 1 << r.IntN(8)
				bad[i] = line
			}
		}
		if !found(verify(ledger.Options{Heads: heads}, join(bad))) && !sameChains(lines, bad) {
			t.Errorf("not found:\n%s", join(bad))
		}
	})
}

// sameChains tells whether both have the same entries, chain by chain.
func sameChains(a, b [][]byte) bool {
	split := func(lines [][]byte) string {
		var d, k [][]byte
		for _, l := range lines {
			if chainOf(l) {
				d = append(d, l)
			} else {
				k = append(k, l)
			}
		}
		return string(join(append(d, k...)))
	}
	return split(a) == split(b)
}

// FuzzLine: no bytes make the verifier fall over, and what is read as a line stays the line.
func FuzzLine(f *testing.F) {
	lines, _ := clean()
	for _, l := range lines[:4] {
		f.Add(l)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v := ledger.NewVerifier(ledger.Options{})
		v.Line(b)
		v.Line(b)
		v.Finish()
		if l, err := ledger.Parse(b); err == nil && !bytes.Equal(l.Text(), b) {
			t.Error("the line changed")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	lines, _ := clean()
	text := join(lines)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if verify(ledger.Options{}, text).Total != 0 {
			b.Fatal("problems")
		}
	}
	b.ReportMetric(float64(len(lines)), "entries/op")
}
