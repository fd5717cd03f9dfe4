package placementapi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/api/policy"
	"github.com/kilonova-cloud/kilonova/placement"
)

// Config makes a server.
type Config struct {
	Engine *placement.Engine
	Auth   api.Authenticator // nil: api.NoAuth
	Policy *policy.Enforcer  // nil: DefaultRules with deprecated ones granting too
	Now    func() time.Time
	Logger *slog.Logger // hears about failures of the server; nil: nobody does
	Access *slog.Logger // gets a line per request; nil: none
	CORS   api.CORS

	PathPrefix   string // of every route, links and Location included, such as /placement
	ProxyHeaders bool   // believe X-Forwarded-Proto and X-Forwarded-Host

	IncompleteProject string // of allocations written below 1.8; "": the zero UUID
	IncompleteUser    string

	MaxCandidates int  // per request; 0: as many as there are
	BreadthFirst  bool // candidates of all trees in turn
	Randomize     bool // start at a random tree

	// On an engine that shares its store, reads wait until what was written
	// elsewhere before them is visible, but for those of candidates.
	StaleReads    bool          // they do not wait
	ReadDeadline  time.Duration // how long they wait before they are refused; 0: DefaultReadDeadline
	WriteDeadline time.Duration // after which the outcome of a write is unknown; 0: DefaultWriteDeadline

	// Observe is called after each request, for metrics; nil: nobody counts.
	Observe func(Observation)
}

// Observation is what metrics want to know of a request.
type Observation struct {
	Route  string // pattern, "" when there is none
	Method string
	Status int
	Took   time.Duration
}

// Service is the API's name and versions.
var Service = api.Service{Type: "placement", Min: api.Version{Major: 1, Minor: 0}, Max: api.Version{Major: 1, Minor: 39}}

// defaultConsumerID stands for a project or user that old versions leave out.
//
// Source: placement, conf/placement.py, DEFAULT_CONSUMER_MISSING_ID.
const defaultConsumerID = "00000000-0000-0000-0000-000000000000"

// Server answers requests.
type Server struct {
	cfg     Config
	engine  *placement.Engine
	mux     *http.ServeMux
	handler http.Handler
	calls   sync.Pool
	large   chan struct{} // held by requests with a large body
	alone   chan struct{} // held by the one of them that is worked on
	order   classOrder
}

var _ http.Handler = (*Server)(nil)

// New returns a server for an engine.
func New(cfg Config) (*Server, error) {
	if cfg.Engine == nil || cfg.Now == nil {
		return nil, errors.New("placementapi: Config needs Engine and Now")
	}
	if cfg.Auth == nil {
		cfg.Auth = api.NoAuth{}
	}
	if cfg.Policy == nil {
		rules, err := policy.New(policy.Config{Defaults: DefaultRules(), EnforceScope: true})
		if err != nil {
			return nil, err
		}
		cfg.Policy = rules
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.IncompleteProject == "" {
		cfg.IncompleteProject = defaultConsumerID
	}
	if cfg.IncompleteUser == "" {
		cfg.IncompleteUser = defaultConsumerID
	}
	cfg.ReadDeadline = cmp.Or(cfg.ReadDeadline, DefaultReadDeadline)
	cfg.WriteDeadline = cmp.Or(cfg.WriteDeadline, DefaultWriteDeadline)
	cfg.PathPrefix = strings.TrimRight(cfg.PathPrefix, "/")
	s := &Server{cfg: cfg, engine: cfg.Engine, mux: http.NewServeMux(), large: make(chan struct{}, largeAtOnce), alone: make(chan struct{}, 1), order: newClassOrder()}
	s.calls.New = func() any { return new(call) }
	for pattern, methods := range routesByPattern() {
		s.mux.Handle(pattern, &endpoint{pattern: pattern, methods: methods, allow: allowed(methods)})
	}
	s.handler = cfg.CORS.Wrap(http.HandlerFunc(s.authenticated))
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, _ := s.calls.Get().(*call)
	*c = call{s: s, ResponseWriter: w, r: r, id: api.NewRequestID(), now: s.cfg.Now(), out: c.out[:0], in: c.in[:0], candidates: c.candidates}
	w.Header()[api.RequestIDHeader] = []string{c.id}
	defer s.finish(r.Context(), c)
	s.handler.ServeHTTP(c, r)
}

// finish counts and logs the request, also one whose handler panicked.
func (s *Server) finish(ctx context.Context, c *call) {
	fault := recover()
	if fault != nil && fault != any(http.ErrAbortHandler) {
		s.cfg.Logger.ErrorContext(ctx, "handler panicked", slog.String("request_id", c.id), slog.Any("fault", fault), slog.String("stack", stack()))
		if c.status == 0 {
			c.refuse(&api.Error{Status: http.StatusInternalServerError, Detail: "Unexpected error, see the log.", Outside: true})
			fault = nil
		}
	}
	if c.large {
		<-s.large
	}
	if c.alone {
		<-s.alone
	}
	took := s.cfg.Now().Sub(c.now)
	if s.cfg.Observe != nil {
		s.cfg.Observe(Observation{Route: c.route, Method: c.r.Method, Status: c.status, Took: took})
	}
	if s.cfg.Access != nil {
		s.cfg.Access.LogAttrs(ctx, slog.LevelInfo, "request",
			slog.String("request_id", c.id), slog.String("remote", c.r.RemoteAddr), slog.String("method", c.r.Method),
			slog.String("uri", c.r.RequestURI), slog.Int("status", c.status), slog.Int64("bytes", c.sent),
			slog.Int64("took_us", took.Microseconds()), slog.String("microversion", c.version.String()), slog.String("user", c.who.User))
	}
	if fault != nil {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to end the connection, so that a half answer is seen as such
	}
	c.release()
	s.calls.Put(c)
}

// authenticated goes on with requests of known users. The root needs none.
func (s *Server) authenticated(w http.ResponseWriter, r *http.Request) {
	c, ours := w.(*call)
	if !ours {
		return
	}
	path, inside := strings.CutPrefix(r.URL.Path, s.cfg.PathPrefix)
	if !inside {
		path = r.URL.Path
	}
	if path != "" && path != "/" {
		who, err := s.cfg.Auth.Authenticate(r)
		if err != nil {
			c.unauthenticated(err)
			return
		}
		c.who = who
	}
	version, problem := Service.Negotiate(r.Header)
	if problem != nil {
		c.refuse(problem)
		return
	}
	c.version, c.negotiated = version, true
	c.Header()[api.VersionHeader] = []string{versionHeaders[version.Minor]}
	if err := c.checkContentType(); err != nil {
		c.refuse(err)
		return
	}
	s.dispatch(c, path, inside)
}

// dispatch finds the route. Paths that the standard router would redirect are
// not found, and an escaped slash is a slash, as in OpenStack.
func (s *Server) dispatch(c *call, path string, inside bool) {
	if path == "" {
		path = "/"
	}
	if !inside || strings.Contains(path, "//") || strings.Contains(path, "/./") || strings.Contains(path, "/../") ||
		strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..") || path[0] != '/' {
		c.refuse(noRoute())
		return
	}
	r := c.r
	if r.URL.Path != path || r.URL.RawPath != "" {
		u := *r.URL
		u.Path, u.RawPath = path, ""
		clone := *r
		clone.URL = &u
		r = &clone
		c.r = r
	}
	s.mux.ServeHTTP(c, r)
}

func noRoute() *api.Error { return &api.Error{Status: http.StatusNotFound, Outside: true} }

// versionHeaders are the values of the version header, by minor version.
var versionHeaders = func() []string {
	list := make([]string, Service.Max.Minor+1)
	for minor := range list {
		list[minor] = "placement " + api.Version{Major: 1, Minor: minor}.String()
	}
	return list
}()
