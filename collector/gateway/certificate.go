package gateway

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateEvery is how often the certificate's files are looked at, at most: at a handshake.
const certificateEvery = 10 * time.Second

// certificate is the gateway's own, read again when its files change. It is safe for concurrent use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu     sync.Mutex
	pair   *tls.Certificate
	looked time.Time
	stamp  string // of the files that were read or refused last
}

func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, now: time.Now, looked: time.Now()}
	c.stamp = c.stat()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	c.pair = &pair
	return c, err
}

// get implements tls.Config.GetCertificate. Files that do not belong together, as in the middle of a renewal, leave what is in use.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.looked) < certificateEvery {
		return c.pair, nil
	}
	c.looked = now
	stamp := c.stat()
	if stamp == c.stamp {
		return c.pair, nil
	}
	c.stamp = stamp
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		c.log.Error("changed certificate refused; the one before stays in use", "cert_file", c.certFile, "error", err,
			"advice", "check that gateway.tls.cert_file and key_file are PEM and belong together")
		return c.pair, nil
	}
	c.pair = &pair
	c.log.Info("changed certificate is in use", "cert_file", c.certFile)
	return c.pair, nil
}

// stat tells one state of the files from another: by their sizes and times.
func (c *certificate) stat() string {
	var s []byte
	for _, name := range []string{c.certFile, c.keyFile} {
		if st, err := os.Stat(name); err == nil {
			s = st.ModTime().AppendFormat(s, time.RFC3339Nano)
			s = append(s, byte(st.Size()), byte(st.Size()>>8), ' ')
		}
	}
	return string(s)
}
