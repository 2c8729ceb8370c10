package stage

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/warder/warder/internal/bus"
)

// A checkpoint is the state of one partition at one offset, cut into records of the compacted topic warder.checkpoints. It can
// be torn: the process may die after some of its records. Two slots, written in turn, keep the one before it whole, and each
// record tells which checkpoint it belongs to, of how many records that consists, and the checkpoint's hash. The newest
// complete one counts.
const (
	chunkVersion = 1
	chunkBytes   = 512 << 10
	maxChunks    = 4096
	maxState     = 1 << 30 // a decompressed checkpoint, in bytes
	maxGen       = 1 << 62 // what nobody reaches: a forged one must not wrap the count
	headBytes    = 1 + 8 + 8 + 4 + 4 + sha256.Size
)

// head stands in front of each record's part of the payload.
type head struct {
	gen    uint64 // ascending with every checkpoint of the partition
	offset int64  // the next record of the input
	no, of uint32 // this record among those of the checkpoint
	sum    [sha256.Size]byte
}

func (h *head) append(b []byte) []byte {
	b = append(b, chunkVersion)
	b = binary.BigEndian.AppendUint64(b, h.gen)
	b = binary.BigEndian.AppendUint64(b, uint64(h.offset))
	b = binary.BigEndian.AppendUint32(b, h.no)
	b = binary.BigEndian.AppendUint32(b, h.of)
	return append(b, h.sum[:]...)
}

func parseHead(b []byte) (h head, payload []byte, err error) {
	if len(b) < headBytes || b[0] != chunkVersion {
		return h, nil, errors.New("checkpoint record is malformed or of another version")
	}
	h.gen, h.offset = binary.BigEndian.Uint64(b[1:]), int64(binary.BigEndian.Uint64(b[9:]))
	h.no, h.of = binary.BigEndian.Uint32(b[17:]), binary.BigEndian.Uint32(b[21:])
	copy(h.sum[:], b[25:])
	if h.of == 0 || h.of > maxChunks || h.no >= h.of || h.offset < 0 || h.gen > maxGen {
		return h, nil, errors.New("checkpoint record is malformed")
	}
	return h, b[headBytes:], nil
}

// slots keeps the checkpoints of one input partition.
type slots struct {
	topic     string // the input
	partition int
	gen       uint64 // of the newest checkpoint that was begun
	good      int    // the slot that holds the newest complete one
	chunks    [2]int // how many records each slot has
	damaged   int    // records that load found and cannot be of a checkpoint; torn ones are not among them
}

// key is the record key of a chunk: "<topic>/<partition>/<slot>/<chunk number>".
func (s *slots) key(slot, no int) []byte {
	return fmt.Appendf(nil, "%s%c/%d", s.prefix(), "ab"[slot], no)
}

func (s *slots) prefix() string { return fmt.Sprintf("%s/%d/", s.topic, s.partition) }

// records turns a state into the records of the next checkpoint.
func (s *slots) records(state []byte, offset int64) ([]bus.Record, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("compress checkpoint: %w", err)
	}
	payload := enc.EncodeAll(state, nil)
	s.gen++
	slot := 1 - s.good
	h := head{gen: s.gen, offset: offset, of: uint32((len(payload) + chunkBytes - 1) / chunkBytes), sum: sha256.Sum256(payload)}
	if len(state) > maxState || h.of > maxChunks {
		return nil, fmt.Errorf("checkpoint of %d bytes is above the limit of %d: lower the detector's memory bounds", len(state), maxState)
	}
	var recs []bus.Record
	for part := range slices.Chunk(payload, chunkBytes) {
		recs = append(recs, s.record(slot, int(h.no), append(h.append(nil), part...)))
		h.no++
	}
	for no := len(recs); no < s.chunks[slot]; no++ {
		recs = append(recs, s.record(slot, no, nil)) // left over from a larger one
	}
	s.chunks[slot] = max(s.chunks[slot], int(h.of))
	return recs, nil
}

// written says that the records of the last checkpoint are acknowledged.
func (s *slots) written(recs []bus.Record) {
	s.good = 1 - s.good
	n := 0
	for i := range recs {
		if recs[i].Value != nil {
			n++
		}
	}
	s.chunks[s.good] = n
}

func (s *slots) record(slot, no int, value []byte) bus.Record {
	return bus.Record{Topic: bus.TopicCheckpoints, Partition: s.partition, Key: s.key(slot, no), Value: value}
}

// saved is a complete checkpoint.
type saved struct {
	offset int64
	state  []byte
}

// held is what the two slots hold: values by chunk number.
type held [2]map[int][]byte

// put takes a record of the topic; those of other inputs are passed over. It is false for a key that is nobody's.
func (h *held) put(prefix string, key, value []byte) bool {
	head, tail, _ := cutLast(string(key))
	head, slotName, ok := cutLast(head)
	no, err := strconv.Atoi(tail)
	if !ok || err != nil || no < 0 || no >= maxChunks || slotName != "a" && slotName != "b" {
		return false
	}
	if head+"/" != prefix {
		return true
	}
	slot := &h[slotName[0]-'a']
	if *slot == nil {
		*slot = map[int][]byte{}
	}
	if (*slot)[no] = value; value == nil {
		delete(*slot, no)
	}
	return true
}

// cutLast cuts s around its last slash.
func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// load reads the newest complete checkpoint; nil when there is none. What is no part of a checkpoint is counted in damaged.
func (s *slots) load(ctx context.Context, c *bus.Client) (*saved, error) {
	var h held
	prefix := s.prefix()
	err := c.ReadPartition(ctx, bus.TopicCheckpoints, s.partition, func(r bus.Record) error {
		if !h.put(prefix, r.Key, r.Value) {
			s.damaged++
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read checkpoint of %s partition %d: %w", s.topic, s.partition, err)
	}
	return s.choose(&h)
}

// choose finds the newest complete checkpoint in what the slots hold.
func (s *slots) choose(in *held) (*saved, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxState))
	if err != nil {
		return nil, fmt.Errorf("decompress checkpoint: %w", err)
	}
	defer dec.Close()
	var gen uint64
	var best *saved
	for slot, chunks := range in {
		for no, v := range chunks {
			s.chunks[slot] = max(s.chunks[slot], no+1)
			h, _, err := parseHead(v)
			if err != nil {
				s.damaged++
				continue
			}
			s.gen = max(s.gen, h.gen)
		}
		h, payload, ok := assemble(chunks)
		if !ok || best != nil && h.gen <= gen {
			continue
		}
		state, err := dec.DecodeAll(payload, nil)
		if err != nil {
			s.damaged++ // the hash is right, so somebody else wrote it
			continue
		}
		best, gen, s.good = &saved{offset: h.offset, state: state}, h.gen, slot
	}
	return best, nil
}

// assemble puts a slot's chunks together; ok is false when one is missing, or of another checkpoint.
func assemble(chunks map[int][]byte) (first head, payload []byte, ok bool) {
	first, part, err := parseHead(chunks[0])
	if err != nil || first.no != 0 {
		return first, nil, false
	}
	payload = slices.Clone(part)
	for no := 1; no < int(first.of); no++ {
		h, part, err := parseHead(chunks[no])
		want := first
		want.no = uint32(no)
		if err != nil || h != want {
			return first, nil, false
		}
		payload = append(payload, part...)
	}
	return first, payload, sha256.Sum256(payload) == first.sum
}
