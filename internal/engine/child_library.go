package engine

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/warder/warder/internal/config"
	"github.com/warder/warder/internal/engine/chdb"
	"github.com/warder/warder/internal/engine/chhttp"
)

// listenerFile is the file number of the socket that the parent hands over.
const listenerFile = 3

// maxInsert bounds the data of one insert, in bytes.
const maxInsert = 512 << 20

// runLibrary serves libchdb over HTTP until ctx ends.
func (spec childSpec) runLibrary(ctx context.Context) error {
	socket := os.NewFile(listenerFile, "listener")
	listener, err := net.FileListener(socket)
	if err != nil {
		return fmt.Errorf("take over the socket: %w", err)
	}
	_ = socket.Close() // FileListener has its own copy
	lib, err := chdb.Load(spec.Path)
	if err != nil {
		return err
	}
	open := func() (*chdb.Conn, error) { return lib.Open(spec.data(), "--config-file="+spec.configFile()) }
	anchor, err := open() // keeps the engine up between requests
	if err != nil {
		return err
	}
	defer anchor.Close()
	handler, err := chhttp.New(chhttp.Config{
		User: spec.User, Password: config.NewSecret(spec.Password), Concurrent: spec.Concurrent, MaxBody: maxInsert, Scratch: spec.Dir,
	}, open)
	if err != nil {
		return err
	}
	report(childReport{Version: handler.Version()})
	return serveHTTP(ctx, listener, handler)
}

// serveHTTP serves until ctx ends, then lets running statements finish for a moment.
func serveHTTP(ctx context.Context, listener net.Listener, handler *chhttp.Server) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    1 << 20,
		ErrorLog:          log.New(os.Stderr, "http: ", 0),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), childGrace/2)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		_ = srv.Close() // cancels the requests, which kills their statements
	}
	<-failed
	handler.Close()
	return nil
}
