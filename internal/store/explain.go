package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Codes of ClickHouse's exceptions (ErrorCodes.cpp).
const (
	codeAuthentication    = 516
	codeWrongPassword     = 193
	codeUnknownUser       = 192
	codeAccessDenied      = 497
	codeDatabaseExists    = 82
	codeTableExists       = 57
	codeUnknownTable      = 60
	codeDirectoryExists   = 84
	codeCannotAssignAlter = 517
)

// explain wraps an error with where it happened and, where it is known, what to do about it.
func (c Config) explain(doing string, err error) error {
	at := strings.Join(c.Addrs, ", ")
	var ex *clickhouse.Exception
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var network *net.OpError
	switch {
	case errors.As(err, &ex):
		return c.explainException(doing, at, ex, err)
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return fmt.Errorf("store: %s: the certificate of ClickHouse at %s is not trusted: set store.tls.ca_file to its authority, or store.tls.server_name to the name in it: %w", doing, at, err)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"): // net/http has no type for it
		return fmt.Errorf("store: %s: ClickHouse at %s does not speak TLS on this port: use its TLS port, or set store.tls.enabled to false: %w", doing, at, err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("store: %s: %w", doing, err)
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), errors.Is(err, net.ErrClosed):
		return fmt.Errorf("store: %s: ClickHouse at %s (%s) cannot be reached: check store.addrs and store.protocol, and whether the server runs: %w", doing, at, c.Protocol, err)
	}
	return fmt.Errorf("store: %s: ClickHouse at %s (%s): %w", doing, at, c.Protocol, err)
}

func (c Config) explainException(doing, at string, ex *clickhouse.Exception, err error) error {
	switch ex.Code {
	case codeAuthentication, codeWrongPassword, codeUnknownUser:
		return fmt.Errorf("store: %s: ClickHouse at %s refuses the login of user %q: check store.username and store.password: %w", doing, at, c.Username, err)
	case codeAccessDenied:
		if c.Cluster.Name != "" {
			return fmt.Errorf("store: %s: user %q lacks a right on ClickHouse at %s; in a cluster it needs SELECT, INSERT, CREATE, ALTER, DROP on %s.* and CLUSTER, REMOTE, CREATE TEMPORARY TABLE on *.*: %w", doing, c.Username, at, c.Database, err)
		}
		return fmt.Errorf("store: %s: user %q lacks a right on ClickHouse at %s; it needs SELECT, INSERT, CREATE, ALTER, DROP on %s.*: %w", doing, c.Username, at, c.Database, err)
	}
	return fmt.Errorf("store: %s: ClickHouse at %s: %w", doing, at, err)
}

// Racing statements of several instances are tried so often.
const (
	raceTries = 10
	raceWait  = 100 * time.Millisecond
)

// retryRace runs a statement that can be run again, and does so when another instance that ran the same got in the way.
func retryRace(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		var ex *clickhouse.Exception
		if err == nil || try == raceTries || !errors.As(err, &ex) {
			return err
		}
		switch ex.Code {
		case codeDatabaseExists, codeTableExists, codeDirectoryExists, codeCannotAssignAlter:
		default:
			return err
		}
		select {
		case <-time.After(raceWait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
