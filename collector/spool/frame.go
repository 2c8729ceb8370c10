package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/warder/warder/internal/event"
)

// A segment is a header followed by frames. Integers are little-endian.
//
//	header  magic "WSPL" | version u32 | first own seq u64 | dropped u64 | CRC-32C of the 24 bytes before u32
//	frame   length u32 | CRC-32C u32 of what follows | flags u8 | key length u8 | seq u64 | key | event (internal/event codec)
const (
	headerSize = 28
	headerVer  = 1
	headSize   = 8  // length and checksum of a frame
	metaSize   = 10 // flags, key length, seq
	maxKey     = 255
	maxFrame   = 1 << 20 // well above event.MaxEncoded
)

const (
	flagOwn byte = 1 << iota // numbered by this spool
	flagHeartbeat
)

var (
	errShort   = errors.New("record is cut off")
	errCorrupt = errors.New("record's checksum does not match")
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// Record is one spooled event as the reader gets it. Its slices are valid until the next call of Next.
type Record struct {
	Own       bool // numbered by this spool
	Heartbeat bool // to be sent to every partition
	Seq       uint64
	Key       []byte
	Value     []byte // the encoded event
}

// appendFrame appends the event as one frame.
func appendFrame(b []byte, flags byte, e *event.Event) []byte {
	start := len(b)
	key := e.Key()
	key = key[:min(len(key), maxKey)]
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, flags, byte(len(key)))
	b = binary.LittleEndian.AppendUint64(b, e.Seq)
	b = append(b, key...)
	b = e.Append(b)
	rest := b[start+headSize:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(rest)))
	binary.LittleEndian.PutUint32(b[start+4:], checksum(rest))
	return b
}

// decodeFrame reads the frame at the start of b and returns its whole length. errShort means that b ends within the frame,
// errCorrupt that it cannot be a frame, or, with a size, that its content is damaged.
func decodeFrame(b []byte) (r Record, size int, err error) {
	if len(b) < headSize {
		return r, 0, errShort
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n < metaSize || n > maxFrame-headSize {
		return r, 0, errCorrupt
	}
	if len(b) < headSize+n {
		return r, 0, errShort
	}
	rest := b[headSize : headSize+n]
	keyLen := int(rest[1])
	if checksum(rest) != binary.LittleEndian.Uint32(b[4:]) || metaSize+keyLen > n {
		return r, headSize + n, errCorrupt
	}
	r.Own = rest[0]&flagOwn != 0
	r.Heartbeat = rest[0]&flagHeartbeat != 0
	r.Seq = binary.LittleEndian.Uint64(rest[2:])
	r.Key = rest[metaSize : metaSize+keyLen]
	r.Value = rest[metaSize+keyLen:]
	return r, headSize + n, nil
}

// header is what a segment begins with: the numbers that a restart goes on from when the segment holds no record yet.
type header struct{ next, dropped uint64 }

func (h header) append(b []byte) []byte {
	start := len(b)
	b = append(b, "WSPL"...)
	b = binary.LittleEndian.AppendUint32(b, headerVer)
	b = binary.LittleEndian.AppendUint64(b, h.next)
	b = binary.LittleEndian.AppendUint64(b, h.dropped)
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

func decodeHeader(b []byte) (h header, err error) {
	if len(b) < headerSize {
		return h, errShort
	}
	if string(b[:4]) != "WSPL" || binary.LittleEndian.Uint32(b[4:]) != headerVer ||
		checksum(b[:headerSize-4]) != binary.LittleEndian.Uint32(b[headerSize-4:]) {
		return h, errCorrupt
	}
	return header{binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])}, nil
}
