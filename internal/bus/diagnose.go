package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/segmentio/kafka-go"
)

// brokerError names the broker, what went wrong and what to check.
type brokerError struct {
	broker string
	err    error
	advice string
}

func (e *brokerError) Error() string {
	s := fmt.Sprintf("kafka broker %s: %v", e.broker, e.err)
	if e.advice != "" {
		s += ": " + e.advice
	}
	return s
}

func (e *brokerError) Unwrap() error { return e.err }

// explain wraps an error of a connection to the broker with advice. The cause is cut down to its innermost statement where
// the library's own wrapping says nothing more.
func (c *Client) explain(broker string, err error) error {
	return &brokerError{broker: broker, err: plainCause(err), advice: c.advice(err)}
}

// plainCause drops the library's prefixes ("failed to dial: failed to open connection to …", "kafka.(*Client).Metadata: …").
func plainCause(err error) error {
	var op *net.OpError
	var cert *tls.CertificateVerificationError
	var code kafka.Error
	switch {
	case errors.As(err, &cert):
		return cert
	case errors.As(err, &op):
		return op
	case errors.As(err, &code):
		return code
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// several are the failures of several brokers or partitions, on one line.
type several []error

func (e several) Error() string {
	parts := make([]string, len(e))
	for i, err := range e {
		parts[i] = err.Error()
	}
	return strings.Join(parts, "; ")
}

func (e several) Unwrap() []error { return e }

// telling returns the error of repeated attempts that says more: a later timeout, which the caller's own deadline may have
// caused, does not replace an earlier cause.
func telling(last, err error) error {
	var timeout net.Error
	if last != nil && (errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.Canceled)) {
		return last
	}
	return err
}

// gaveUp is the error of a call whose context ended while it tried again; last, when there is one, says why it had to.
func gaveUp(ctx context.Context, last error) error {
	if last == nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w while trying again after: %w", ctx.Err(), last)
}

func (c *Client) advice(err error) string {
	if s := tlsAdvice(err); s != "" {
		return s
	}
	if s := c.kafkaAdvice(err); s != "" {
		return s
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: check that the broker runs and that the host and port are right"
	case errors.As(err, &dns):
		return "check the name, and that the brokers advertise names which resolve here"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time: check the network, firewalls, and the listener's protocol (TLS or SASL where we use none)"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return c.hangUpAdvice()
	}
	return ""
}

// hangUpAdvice explains a broker that closes the connection without a word, which is how Kafka answers the wrong protocol.
func (c *Client) hangUpAdvice() string {
	tls := "TLS (set tls.enabled)"
	if c.tls != nil {
		tls = "no TLS (tls.enabled) or a client certificate (tls.cert_file and tls.key_file)"
	}
	login := "a login (set sasl)"
	if c.sasl != nil {
		login = "another login (check sasl)"
	}
	return "the broker hung up: its listener may expect " + tls + " or " + login
}

func tlsAdvice(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	switch {
	case errors.As(err, &authority):
		return "its certificate is signed by an authority that is not trusted here: set tls.ca_file to that authority's PEM file"
	case errors.As(err, &host):
		return "its certificate is for another name: use a name of the certificate, or set tls.server_name"
	case errors.As(err, &invalid):
		return "its certificate is not valid: check its dates, its usage, and this machine's clock"
	case errors.As(err, &record):
		return "the port does not speak TLS: use the TLS listener's port or remove tls.enabled"
	case errors.As(err, &alert):
		return "the broker refused our side of TLS: it may want a client certificate (tls.cert_file and tls.key_file)"
	}
	return ""
}

func (c *Client) kafkaAdvice(err error) string {
	var code kafka.Error
	if !errors.As(err, &code) {
		return ""
	}
	switch code {
	case kafka.SASLAuthenticationFailed:
		return "the login was refused: check sasl.username and sasl.password"
	case kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState:
		return "the listener does not offer this login: check sasl.mechanism"
	case kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed:
		return "the user may not do this: check the cluster's ACLs"
	case kafka.InvalidReplicationFactor:
		return "there are fewer brokers than replication says"
	case kafka.UnknownTopicOrPartition:
		return "create the topics first"
	}
	return ""
}

// Permanent tells whether a failure of this package stays until somebody changes something: a refused login, a certificate that
// is not trusted, a missing right. Trying again does not help, and does no harm.
func Permanent(err error) bool { return permanent(err) }

// permanent tells whether trying again cannot help until somebody changes something.
func permanent(err error) bool {
	if tlsAdvice(err) != "" || errors.Is(err, ErrTooLarge) || errors.Is(err, errClosed) {
		return true
	}
	var code kafka.Error
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge, kafka.InvalidMessage, kafka.InvalidTopic, kafka.InvalidRequiredAcks,
		kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed, kafka.InvalidTimestamp,
		kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState, kafka.SASLAuthenticationFailed, kafka.UnsupportedVersion,
		kafka.UnsupportedForMessageFormat, kafka.PolicyViolation, kafka.InvalidConfiguration, kafka.InvalidReplicationFactor,
		kafka.InvalidPartitionNumber, kafka.InvalidGroupId, kafka.InvalidSessionTimeout, kafka.InconsistentGroupProtocol:
		return true
	}
	return false
}

// reason is the metric label of an error.
func reason(err error) string {
	var code kafka.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	case errors.Is(err, ErrTooLarge), errors.Is(err, kafka.MessageSizeTooLarge), errors.Is(err, kafka.RecordListTooLarge):
		return "too_large"
	case errors.As(err, &code):
		return "refused"
	}
	return "connection"
}
