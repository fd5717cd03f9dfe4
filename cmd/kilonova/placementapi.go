package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/api/placementapi"
	"github.com/kilonova-cloud/kilonova/internal/metrics"
	"github.com/kilonova-cloud/kilonova/placement"
)

// drainTime is how long requests under way may take after SIGTERM.
const drainTime = 30 * time.Second

// placementFlags are the flags of placement-api.
type placementFlags struct {
	listen, adminListen string
	stateDir            string
	connection          string
	authStrategy        string
	configFiles         []string
	pathPrefix          string
	insecureListen      bool
	certFile, keyFile   string
	accessLog           bool
}

func newPlacementAPI() *cobra.Command {
	var f placementFlags
	cmd := &cobra.Command{
		Use:   "placement-api (--state-dir DIR | --connection URL)",
		Short: "Serve the OpenStack Placement API",
		Long: `Serves the OpenStack Placement API, microversions 1.0 to 1.39, from the database
in DIR/placement, which it makes when there is none, for one process at a time; or
from etcd, for as many processes as are wanted:

  --connection etcd://[USER:PASSWORD@]HOST:PORT,HOST:PORT/PREFIX[?NAME=VALUE&...]

with the names cafile, certfile, keyfile, tls, insecure, dial_timeout and
request_timeout. A password is better kept in [placement_database] connection.

Options come from flags, then from the configuration files, in the form of
placement.conf, later files first. SIGTERM ends it once the requests under way
are answered. The admin address has /healthz, /readyz and /metrics.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger := slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
			set, err := f.settings(cmd.Flags().Changed, logger)
			if err != nil {
				return err
			}
			return failed(set.serve(cmd.Context(), logger, cmd.ErrOrStderr()))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8778", "address of the API")
	flags.StringVar(&f.adminListen, "admin-listen", "", "address of /healthz, /readyz and /metrics (default: none)")
	flags.StringVar(&f.stateDir, "state-dir", "", "state directory, which holds the folder placement")
	flags.StringVar(&f.connection, "connection", "", "database: badger:///DIR, etcd://HOST:PORT,HOST:PORT/PREFIX or memory:// (overrides --state-dir)")
	flags.StringVar(&f.authStrategy, "auth-strategy", "", "keystone or noauth2, which believes every token (default: keystone)")
	flags.StringArrayVar(&f.configFiles, "config-file", nil, "configuration file; may be repeated")
	flags.StringVar(&f.pathPrefix, "path-prefix", "", "of every path, links included, such as /placement")
	flags.BoolVar(&f.insecureListen, "insecure-listen", false, "listen beyond loopback although noauth2 believes everyone")
	flags.StringVar(&f.certFile, "tls-cert-file", "", "serve HTTPS with this certificate")
	flags.StringVar(&f.keyFile, "tls-key-file", "", "key of the certificate")
	flags.BoolVar(&f.accessLog, "access-log", true, "a line per request on standard error")
	return cmd
}

// placementSettings is what placement-api runs with.
type placementSettings struct {
	flags *placementFlags
	api   placementapi.Config
	db    database
	tls   *tls.Config
}

// loopback refuses addresses that others can reach.
func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--listen is %q, allowed is: HOST:PORT", address)
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("--listen is %q, allowed with noauth2 is: an address of this machine alone, as every token is believed (--insecure-listen lifts that)", address)
}

// serve opens the database and serves until ctx ends.
func (set *placementSettings) serve(ctx context.Context, logger *slog.Logger, stderr io.Writer) (err error) {
	engine, closeAll, err := set.db.open(ctx, placement.Config{Logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	requests := metrics.NewRequests("kilonova_placement")
	set.api.Engine, set.api.Now, set.api.Logger = engine, time.Now, logger
	set.api.Observe = func(o placementapi.Observation) { requests.Observe(o.Route, o.Method, o.Status, o.Took) }
	if set.flags.accessLog {
		defer set.accessLog(stderr)()
	}
	handler, err := placementapi.New(set.api)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", set.flags.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := api.NewServer(handler)
	if server.TLSConfig = set.tls; set.tls == nil {
		listener = api.WithErrorDocuments(listener)
	}
	server.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	endpoints := []api.Endpoint{{Server: server, Listener: listener}}
	if set.flags.adminListen != "" {
		admin, err := new(net.ListenConfig).Listen(ctx, "tcp", set.flags.adminListen)
		if err != nil {
			return errors.Join(fmt.Errorf("listen: %w", err), listener.Close())
		}
		endpoints = append(endpoints, api.Endpoint{Server: api.NewServer(adminHandler(ctx, engine, requests)), Listener: admin})
	}
	_, _ = fmt.Fprintf(stderr, "listening on %s\n", listener.Addr())
	return api.Serve(ctx, drainTime, endpoints...)
}

// accessLog makes the log of requests. The function that it returns writes
// what is left of it.
func (set *placementSettings) accessLog(w io.Writer) (finish func()) {
	lines := &lineBuffer{w: w}
	set.api.Access = slog.New(slog.NewJSONHandler(lines, nil))
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { lines.run(ctx) })
	return func() {
		stop()
		done.Wait()
	}
}

// adminHandler answers health checks and metrics. It is ready until ctx ends
// or the engine takes no more writes or is stale.
func adminHandler(ctx context.Context, engine *placement.Engine, requests *metrics.Requests) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		err := errors.Join(engine.Err(), ctx.Err())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		if requests.Write(w) == nil {
			writeEngine(w, engine)
			writeProcess(w)
		}
	})
	return mux
}

// writeEngine writes how the engine shares its store.
func writeEngine(w io.Writer, engine *placement.Engine) {
	age, _ := engine.Staleness()
	alone := 0
	if engine.Alone() {
		alone = 1
	}
	_, _ = fmt.Fprintf(w, "# TYPE kilonova_placement_stale_seconds gauge\nkilonova_placement_stale_seconds %g\n"+
		"# TYPE kilonova_placement_alone gauge\nkilonova_placement_alone %d\n", age.Seconds(), alone)
}

// writeProcess writes what the process uses.
func writeProcess(w io.Writer) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_, _ = fmt.Fprintf(w, "# TYPE go_goroutines gauge\ngo_goroutines %d\n# TYPE go_memstats_heap_inuse_bytes gauge\ngo_memstats_heap_inuse_bytes %d\n# TYPE go_memstats_sys_bytes gauge\ngo_memstats_sys_bytes %d\n",
		runtime.NumGoroutine(), m.HeapInuse, m.Sys)
}

// certificates serves a certificate and reads it again when it was renewed.
type certificates struct {
	cert, key string
	loaded    atomic.Pointer[loadedCertificate]
}

type loadedCertificate struct {
	changed time.Time
	cert    tls.Certificate
}

func newTLS(cert, key string) (*tls.Config, error) {
	c := &certificates{cert: cert, key: key}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}, nil
}

// get returns the certificate. One that cannot be read again, because it is
// half renewed, leaves the old one serving until the next handshake.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	have := c.loaded.Load()
	info, err := os.Stat(c.cert)
	if err == nil && (have == nil || !info.ModTime().Equal(have.changed)) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.cert, c.key); err == nil {
			have = &loadedCertificate{info.ModTime(), pair}
			c.loaded.Store(have)
		}
	}
	if have == nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return &have.cert, nil
}
