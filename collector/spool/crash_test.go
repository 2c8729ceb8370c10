package spool

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
)

// crashDir tells the test binary that it is the child of TestKill and where the spool is.
const crashDir = "WARDER_TEST_SPOOL"

// crashChild appends from several goroutines until it is killed, and prints each number whose Append returned.
func crashChild(dir string) {
	cfg := testConfig(dir)
	cfg.SegmentSize, cfg.MaxMemory = 1<<20, 1<<20
	s, err := open(cfg, "test", quiet(), nil, osDisk{}, "boot-1")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var mu sync.Mutex
	for range 8 {
		go func() {
			for {
				e := testEvent("/crash")
				if err := s.Append(context.Background(), e); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				mu.Lock()
				_, _ = os.Stdout.Write(strconv.AppendUint(nil, e.Seq, 10))
				_, _ = os.Stdout.WriteString("\n")
				mu.Unlock()
			}
		}()
	}
	select {}
}

// TestKill kills a process with SIGKILL under concurrent appends, several times over one spool: everything that was acknowledged is
// there, in order, and no number is used twice.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[uint64]bool{}
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		read := 0
		for lines.Scan() {
			n, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				break // the last line may be cut
			}
			if acknowledged[n] {
				t.Fatalf("round %d: number %d was used twice", round, n)
			}
			acknowledged[n] = true
			if read++; read == 3000 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed
	}
	cfg := testConfig(dir)
	cfg.SegmentSize, cfg.MaxMemory = 1<<20, 1<<20
	s := mustOpen(t, cfg, osDisk{})
	mustAppend(t, s, 1)
	last := s.next - 1
	var b Batch
	seen, prev := 0, uint64(0)
	for prev < last {
		if err := s.Next(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.Records {
			if r.Seq <= prev {
				t.Fatalf("%d follows %d", r.Seq, prev)
			}
			prev = r.Seq
			if acknowledged[r.Seq] {
				seen++
			}
		}
		s.Ack(&b)
	}
	if seen != len(acknowledged) {
		t.Errorf("%d of %d acknowledged events are there", seen, len(acknowledged))
	}
}
