package nginx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxFile bounds what is read of a file: the largest that is written is some 10 MB.
const maxFile = 64 << 20

// readFile returns the file's text; there is false when there is none. What is beyond maxFile is left out.
func readFile(path string) (text string, there bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(b), true, err
}

// replace puts a file with the text in the place of the old one, at one moment and on the disk.
func replace(path, text string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // no pattern of an include finds it
	if err != nil {
		return fmt.Errorf("%w: the folder must be Warder's to write", err)
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// hangUp sends SIGHUP to the process whose id is in the file.
func hangUp(path string) error {
	text, there, err := readFile(path)
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("%s is not there: NGINX does not run, or writes its id elsewhere (its directive pid)", path)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || pid < 2 {
		return fmt.Errorf("%s holds %.20q, which is no process id", path, text)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("SIGHUP to process %d: %w", pid, err)
	}
	return nil
}
