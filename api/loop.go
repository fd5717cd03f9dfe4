package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Endpoint is a server and where it listens.
type Endpoint struct {
	Server   *http.Server
	Listener net.Listener
}

// NewServer returns an HTTP server that slow or silent clients cannot hold
// for long: headers within 10 seconds, a body within a minute, an answer
// taken within five minutes.
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      5 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    256 << 10,
	}
}

// Serve serves until ctx ends or a server fails. Then it takes no new
// connections and lets the requests under way finish, for drain at most. The
// servers stop in their order. It returns nil when ctx has ended and
// everything was drained.
func Serve(ctx context.Context, drain time.Duration, endpoints ...Endpoint) error {
	ended := make(chan error, len(endpoints))
	for _, e := range endpoints {
		go func() {
			serve := e.Server.Serve
			if e.Server.TLSConfig != nil {
				serve = func(l net.Listener) error { return e.Server.ServeTLS(l, "", "") }
			}
			err := serve(e.Listener)
			ended <- fmt.Errorf("serve %s: %w", e.Listener.Addr(), err)
		}()
	}
	var failure error
	select {
	case failure = <-ended:
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	for _, e := range endpoints {
		if err := e.Server.Shutdown(late); err != nil {
			failure = errors.Join(failure, fmt.Errorf("drain %s: %w", e.Listener.Addr(), err), e.Server.Close())
		}
	}
	return failure
}
