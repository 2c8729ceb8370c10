package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The embedded broker compacts a partition by deleting its files and writing them anew: killed in between, it would lose
// every block and checkpoint. So the files are linked into a backup folder first. A backup that is there at the start means
// that the process died while compacting. Nothing is appended while the broker compacts, and compaction never removes a
// partition's last batch, so a partition whose last offset is not below its backup's was finished; any other is put back.

const (
	backupName      = "compacting"
	compactMinBytes = 8 << 20 // a partition below this is not compacted; above, when it doubled
)

// compact compacts when a compacted topic's partition has grown. sizes holds the bytes after the last time.
func (e *Embedded) compact(sizes map[string]int64) error {
	names, grown, err := compactable(e.cfg.Dir, sizes)
	if err != nil || !grown {
		return err
	}
	if err := makeBackup(e.cfg.Dir, names); err != nil {
		return err
	}
	e.cluster.Compact()
	if err := os.RemoveAll(filepath.Join(e.cfg.Dir, backupName)); err != nil {
		return err
	}
	for _, name := range names {
		if sizes[name], err = dirSize(filepath.Join(partitionsDir(e.cfg.Dir), name)); err != nil {
			return err
		}
	}
	return nil
}

// compactable lists the folders of compacted topics' partitions and tells whether one of them has grown.
func compactable(dir string, sizes map[string]int64) (names []string, grown bool, err error) {
	for _, s := range topicSpecs() {
		if !s.compact {
			continue
		}
		found, err := filepath.Glob(filepath.Join(partitionsDir(dir), s.name+"-*"))
		if err != nil {
			return nil, false, err
		}
		for _, f := range found {
			name := filepath.Base(f)
			size, err := dirSize(f)
			if err != nil {
				return nil, false, err
			}
			names = append(names, name)
			grown = grown || size > max(compactMinBytes, 2*sizes[name])
		}
	}
	return names, grown, nil
}

// dirSize sums the log files; one that vanishes meanwhile counts nothing.
func dirSize(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var n int64
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		n += info.Size()
	}
	return n, nil
}

// makeBackup links the log files into the backup folder, which appears under its name when it is complete.
func makeBackup(dir string, names []string) error {
	tmp, final := filepath.Join(dir, backupName+".new"), filepath.Join(dir, backupName)
	if err := errors.Join(os.RemoveAll(tmp), os.RemoveAll(final)); err != nil {
		return err
	}
	for _, name := range names {
		from, to := filepath.Join(partitionsDir(dir), name), filepath.Join(tmp, name)
		if err := os.MkdirAll(to, 0o700); err != nil {
			return err
		}
		if err := linkLogs(from, to); err != nil {
			return err
		}
	}
	return os.Rename(tmp, final)
}

func linkLogs(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !isLog(e.Name()) {
			continue
		}
		if err := os.Link(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func isLog(name string) bool {
	return strings.HasSuffix(name, ".dat") || strings.HasSuffix(name, ".idx")
}

// restoreBackup undoes a compaction that did not finish. It may itself be interrupted and repeated.
func restoreBackup(dir string) error {
	backup := filepath.Join(dir, backupName)
	if err := os.RemoveAll(backup + ".new"); err != nil {
		return err
	}
	entries, err := os.ReadDir(backup)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := restorePartition(filepath.Join(backup, e.Name()), filepath.Join(partitionsDir(dir), e.Name())); err != nil {
			return fmt.Errorf("put back %s after an interrupted compaction: %w", e.Name(), err)
		}
	}
	return os.RemoveAll(backup)
}

func restorePartition(backup, live string) error {
	was, err := lastOffset(backup)
	if err != nil {
		return err
	}
	is, err := lastOffset(live)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && is >= was {
		return nil
	}
	if err := os.MkdirAll(live, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(live)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if isLog(e.Name()) {
			if err := os.Remove(filepath.Join(live, e.Name())); err != nil {
				return err
			}
		}
	}
	return linkLogs(backup, live)
}

// lastOffset returns the last offset in the newest log file of a partition's folder, or -1. A batch that was not written to
// its end does not count.
func lastOffset(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	last := int64(-1)
	for _, e := range entries {
		base, isDat := strings.CutSuffix(e.Name(), ".dat")
		if _, err := strconv.ParseInt(base, 10, 64); err != nil || !isDat {
			continue
		}
		n, err := lastOffsetOf(filepath.Join(dir, e.Name()))
		if err != nil {
			return 0, err
		}
		last = max(last, n)
	}
	return last, nil
}

// A record batch begins with its base offset (8 bytes), its length behind these 12 bytes (4), and at 23 has the difference of
// its last offset to the base (4); big-endian. https://kafka.apache.org/documentation/#recordbatch
const (
	batchPrefix    = 12
	batchLastDelta = 23
	batchHead      = batchLastDelta + 4
)

func lastOffsetOf(file string) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	last := int64(-1)
	var head [batchHead]byte
	for pos := int64(0); ; {
		if _, err := f.ReadAt(head[:], pos); errors.Is(err, io.EOF) {
			return last, nil
		} else if err != nil {
			return 0, err
		}
		length := int64(int32(binary.BigEndian.Uint32(head[8:])))
		if length < batchHead || pos+batchPrefix+length > st.Size() {
			return last, nil
		}
		delta := int64(int32(binary.BigEndian.Uint32(head[batchLastDelta:])))
		last = max(last, int64(binary.BigEndian.Uint64(head[:]))+delta)
		pos += batchPrefix + length
	}
}
