package etcd

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/kilonova-cloud/kilonova/store"
)

// Retention is how long at least a batch is known by its ID after it took
// effect: a batch whose outcome is unknown must be settled in this time.
const Retention = 30 * time.Minute

const (
	format         = 1
	leaseChange    = 5 * time.Minute // batches of this time share a lease
	defaultTimeout = 5 * time.Second
	idle           = 500 * time.Millisecond // after which Follow asks for a progress mark
	soon           = 2 * time.Millisecond   // after which it asks again, at first, when Latest has told of more
	page           = 8192                   // records that Load reads at once
	prefixBytes    = 200
	// A connection to a member that hangs is given up after the two together.
	// Servers refuse clients that ask more often than every 5 s.
	keepAlive        = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
	// A cluster that has been away for long is noticed soon after it is back.
	reconnectMax   = 5 * time.Second // between two attempts; gRPC's own is 2 minutes
	connectTimeout = 5 * time.Second // of one of them
)

// reconnect is how members that are away are tried again.
func reconnect() grpc.ConnectParams {
	b := backoff.DefaultConfig
	b.BaseDelay, b.MaxDelay = 100*time.Millisecond, reconnectMax
	return grpc.ConnectParams{Backoff: b, MinConnectTimeout: connectTimeout}
}

// limits keep a transaction within what a server allows as it comes: 128
// comparisons, as many operations when they hold and when they do not, one of
// each for the batch itself, and 1.5 MiB, in which an expected key stands up to
// three times.
func limits() store.Limits {
	return store.Limits{Records: 127, Weight: 127, Bytes: 1 << 20, KeyBytes: 1024, InFlight: 8, Shared: true}
}

// Config says where a store is.
type Config struct {
	Endpoints      []string      // HOST:PORT or URLs of the members
	Prefix         string        // of every key, without slashes at its ends; at most 200 bytes
	TLS            *TLS          // nil: none
	Username       string        // empty: no authentication
	Password       string        // never shown
	DialTimeout    time.Duration // of Open as a whole; 0 means 5 s
	RequestTimeout time.Duration // after which an outcome is unknown; 0 means 5 s
	Existing       bool          // refuse a prefix without a store instead of making one
	Logger         *slog.Logger  // of warnings of etcd's client; nil: nowhere
}

// normal returns cfg with the defaults filled in.
func (cfg Config) normal() (Config, error) {
	if len(cfg.Endpoints) == 0 {
		return cfg, errors.New("the endpoints of etcd are not set")
	}
	if p := cfg.Prefix; p == "" || len(p) > prefixBytes || strings.Trim(p, "/") != p {
		return cfg, fmt.Errorf("prefix is %q, allowed are 1 to %d bytes without a slash at either end", p, prefixBytes)
	}
	if (cfg.Username == "") != (cfg.Password == "") {
		return cfg, errors.New("one of user and password is missing, allowed are: both, none")
	}
	if t := cfg.TLS; t != nil && (t.CertFile == "") != (t.KeyFile == "") {
		return cfg, errors.New("one of certfile and keyfile is missing, allowed are: both, none")
	}
	if cfg.DialTimeout < 0 || cfg.RequestTimeout < 0 {
		return cfg, fmt.Errorf("timeouts are %v and %v, allowed are 0 and more", cfg.DialTimeout, cfg.RequestTimeout)
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = defaultTimeout
	}
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = defaultTimeout
	}
	return cfg, nil
}
