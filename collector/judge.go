package collector

import (
	"bytes"
	"context"
	"hash/maphash"

	"github.com/warder/warder/collector/spool"
)

// judgements remembers what became of the records of a batch, so that the firewall looks at them once although the broker may have to
// be asked many times. The zero value is ready.
type judgements struct {
	seed  maphash.Seed
	known map[uint64][]byte // hash of a record's value in the spool → the value to ship, nil: the same
}

func (j *judgements) hash(value []byte) uint64 { return maphash.Bytes(j.seed, value) }

// forget is called when the batch was acknowledged.
func (j *judgements) forget() { clear(j.known) }

// judge lets the firewall look at the requests, here where no client waits. Those that it has something to say of get a new value;
// what is in the spool stays as it is. It holds the records up for the firewall's budget at most.
func (s *shipper) judge(ctx context.Context, recs []spool.Record) {
	if !s.c.enrich.Judges() {
		return
	}
	j := &s.judged
	if j.known == nil {
		j.seed, j.known = maphash.MakeSeed(), map[uint64][]byte{}
	}
	var values [][]byte
	var fresh []int // their places in recs
	for i, r := range recs {
		if r.Heartbeat {
			continue
		}
		if v, ok := j.known[j.hash(r.Value)]; ok {
			if v != nil {
				recs[i].Value = v
			}
			continue
		}
		values, fresh = append(values, r.Value), append(fresh, i)
	}
	s.c.enrich.JudgeEncoded(ctx, values)
	for k, i := range fresh {
		h := j.hash(recs[i].Value)
		j.known[h] = nil // the value itself is the spool's, which reads over it
		if !bytes.Equal(values[k], recs[i].Value) {
			j.known[h], recs[i].Value = values[k], values[k]
		}
	}
}
