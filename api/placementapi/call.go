package placementapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/api/jsonschema"
)

// MaxBody is the largest body that is read, in bytes.
const MaxBody = 10 << 20

const (
	largeBody   = 1 << 20   // a body of more bytes takes a place among few
	largeAtOnce = 4         // how many
	costlyBody  = 128 << 10 // a body of more bytes is parsed and worked on alone: its values may take a hundred times its size
	firstBuffer = 32 << 10  // for a body without a place that says it is longer
	keepBuffer  = 128 << 10 // buffers that grew beyond are not kept
)

// call is one request and the answer to it. It is reused.
type call struct {
	http.ResponseWriter
	s          *Server
	r          *http.Request
	id         string
	now        time.Time
	who        api.Identity
	version    api.Version
	negotiated bool
	route      string
	query      api.Query
	queryErr   error

	status int
	sent   int64
	large  bool   // holds a place among those with a large body
	alone  bool   // is the one with a costly body that was read
	in     []byte // body of the request
	out    []byte // body of the answer

	candidates *candidateScratch
}

// release forgets what the next request must not see.
func (c *call) release() {
	if cap(c.in) > keepBuffer {
		c.in = nil
	}
	if cap(c.out) > keepBuffer {
		c.out = nil
	}
	if c.candidates != nil && c.candidates.release() {
		c.candidates = nil
	}
	*c = call{in: c.in, out: c.out, candidates: c.candidates}
}

// WriteHeader notes the status.
func (c *call) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (c *call) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(b)
	c.sent += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *call) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func stack() string { return string(debug.Stack()) }

// at reports whether the request has minor version minor or newer.
func (c *call) at(minor int) bool { return c.version.AtLeast(minor) }

// path returns a part of the path.
func (c *call) path(name string) string { return c.r.PathValue(name) }

// checkContentType refuses a body of unknown type.
//
// Source: placement, handler.py, PlacementHandler.
func (c *call) checkContentType() *api.Error {
	if c.r.ContentLength > 0 && c.r.Header.Get("Content-Type") == "" {
		return &api.Error{Status: http.StatusBadRequest, Detail: "content-type header required when content-length > 0", Outside: true}
	}
	return nil
}

// requireJSON refuses bodies of other types.
func (c *call) requireJSON() error {
	media := api.MediaType(c.r)
	if media == "application/json" {
		return nil
	}
	if media == "" {
		media = "None"
	}
	return api.Errorf(http.StatusUnsupportedMediaType, "The media type "+media+" is not supported, use application/json")
}

// acceptJSON refuses clients that want something else.
func (c *call) acceptJSON() error {
	headers := c.r.Header["Accept"]
	if len(headers) == 0 || slices.ContainsFunc(headers, api.AcceptsJSON) {
		return nil
	}
	return api.Errorf(http.StatusNotAcceptable, "Only application/json is provided")
}

// document reads the body and checks it.
func (c *call) document(schema *jsonschema.Schema) (*jsonschema.Value, error) {
	if err := c.readBody(); err != nil {
		return nil, err
	}
	v, err := jsonschema.Parse(c.in)
	if err != nil {
		return nil, bad("Malformed JSON: " + err.Error())
	}
	if violation := schema.Validate(&v); violation != nil {
		return nil, bad("JSON does not validate: " + violation.String())
	}
	return &v, nil
}

func (c *call) readBody() error {
	n := c.r.ContentLength
	if n > MaxBody {
		// a client that still writes when the connection ends never sees why
		_, _ = io.CopyN(io.Discard, c.r.Body, min(n, 2*MaxBody))
		return tooLarge()
	}
	large := n < 0 || n > largeBody
	if large && !c.take(c.s.large, &c.large) {
		return bad("The request ended before it was read.")
	}
	first := n + 1
	if !large {
		first = min(first, firstBuffer)
	}
	if int64(cap(c.in)) < first {
		c.in = make([]byte, 0, first)
	}
	body := http.MaxBytesReader(c.ResponseWriter, c.r.Body, MaxBody)
	for {
		if len(c.in) == cap(c.in) {
			c.in = append(c.in, 0)[:len(c.in)]
		}
		got, err := body.Read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+got]
		if errors.Is(err, io.EOF) {
			break
		}
		if limit := (*http.MaxBytesError)(nil); errors.As(err, &limit) {
			return tooLarge()
		}
		if err != nil {
			return bad("The body could not be read: " + err.Error())
		}
	}
	if len(c.in) > costlyBody && !c.take(c.s.alone, &c.alone) {
		return bad("The request ended before it was answered.")
	}
	return nil
}

// take waits for a place, which finish gives back.
func (c *call) take(places chan struct{}, have *bool) bool {
	select {
	case places <- struct{}{}:
		*have = true
	case <-c.r.Context().Done():
	}
	return *have
}

func tooLarge() *api.Error {
	return api.Errorf(http.StatusRequestEntityTooLarge, "A body has at most "+strconv.Itoa(MaxBody)+" bytes.")
}

// fresh marks the answer as not to be cached, last changed at a time; zero: unknown.
func (c *call) fresh(modified time.Time) {
	h := c.Header()
	h["Cache-Control"] = noCache
	if !modified.IsZero() {
		h["Last-Modified"] = []string{modified.UTC().Format(http.TimeFormat)}
	}
}

// The values of headers that never change.
var (
	noCache  = []string{"no-cache"}
	jsonType = []string{"application/json"}
	vary     = []string{"openstack-api-version"}
)

// varies adds the vary header to what CORS may have set.
func (c *call) varies() {
	h := c.Header()
	if have := h["Vary"]; len(have) > 0 {
		h["Vary"] = append(have, vary[0])
		return
	}
	h["Vary"] = vary
}

// send answers with a JSON document, which is c.out.
func (c *call) send(status int) error {
	c.varies()
	h := c.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(c.out))}
	c.WriteHeader(status)
	_, err := c.Write(c.out)
	return c.broken(err)
}

// empty answers without a body.
func (c *call) empty(status int) error {
	c.varies()
	if status != http.StatusNoContent {
		c.Header()["Content-Length"] = []string{"0"}
	}
	c.WriteHeader(status)
	return nil
}

// broken notes that the client went away; there is nobody to tell.
func (c *call) broken(err error) error {
	if err != nil {
		c.s.cfg.Logger.Debug("answer not sent", slog.String("request_id", c.id), slog.String("error", err.Error()))
	}
	return nil
}

// location sets the absolute Location of a path.
func (c *call) location(path string) {
	scheme, host := "http", c.r.Host
	if c.r.TLS != nil {
		scheme = "https"
	}
	if c.s.cfg.ProxyHeaders {
		if proto := c.r.Header.Get("X-Forwarded-Proto"); proto != "" {
			scheme = proto
		}
		if forwarded := c.r.Header.Get("X-Forwarded-Host"); forwarded != "" {
			host = forwarded
		}
	}
	c.Header().Set("Location", scheme+"://"+host+c.s.cfg.PathPrefix+path)
}

// fail answers with an error of a handler.
func (c *call) fail(err error) {
	refusal := (*api.Error)(nil)
	if !errors.As(err, &refusal) {
		refusal = engineErrors.Find(err, err.Error())
	}
	c.refuse(refusal)
}

// refuse answers with an error document.
func (c *call) refuse(e *api.Error) {
	if e.Status >= http.StatusInternalServerError && c.r.Context().Err() == nil { // or else the client is gone
		c.s.cfg.Logger.Error("request failed", slog.String("request_id", c.id), slog.Int("status", e.Status), slog.Any("error", e.Cause))
	}
	if c.status != 0 {
		return // too late to say it
	}
	item := api.ErrorItem{Status: e.Status, Title: api.Title(e.Status), Detail: e.Text(c.r), RequestID: c.id}
	if c.negotiated && c.at(23) {
		if item.Code = e.Code; item.Code == "" {
			item.Code = codeUndefined
		}
	}
	if !c.negotiated && e.Status == http.StatusNotAcceptable {
		item.MaxVersion, item.MinVersion = Service.Max.String(), Service.Min.String()
	}
	if e.Status == http.StatusServiceUnavailable {
		c.Header()["Retry-After"] = retryAfter
	}
	if e.Allow != "" {
		c.Header().Set("Allow", e.Allow)
	}
	if c.negotiated && !e.Outside {
		c.varies()
	}
	c.writeError(e, api.ErrorDocument{Errors: []api.ErrorItem{item}})
}

// unauthenticated answers a request of nobody, in the older form of error
// documents that OpenStack has for this case.
func (c *call) unauthenticated(err error) {
	refusal := (*api.Error)(nil)
	if !errors.As(err, &refusal) {
		refusal = &api.Error{Status: http.StatusServiceUnavailable, Detail: "Users cannot be told apart now.", Cause: err}
	}
	if refusal.Status != http.StatusUnauthorized {
		c.refuse(refusal)
		return
	}
	if refusal.Challenge != "" {
		c.Header().Set("Www-Authenticate", refusal.Challenge)
	}
	c.writeError(refusal, struct {
		Message string `json:"message"`
		Code    string `json:"code"`
		Title   string `json:"title"`
	}{refusal.Markup(c.r), "401 Unauthorized", "Unauthorized"})
}

// writeError sends an error as the client wants it.
func (c *call) writeError(e *api.Error, document any) {
	h := c.Header()
	media, page := e.Page(c.r)
	body := bytes.NewBufferString(page)
	h["Content-Type"] = jsonType
	switch {
	case c.r.Method == http.MethodHead: // has no body to choose a type for
		h["Content-Type"] = []string{"text/html; charset=UTF-8"}
		body.Reset()
	case media != "":
		h["Content-Type"] = []string{media}
	default:
		enc := json.NewEncoder(body)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(document) // strings and numbers always can be
	}
	h["Content-Length"] = []string{strconv.Itoa(body.Len())}
	c.WriteHeader(e.Status)
	_, err := c.Write(body.Bytes())
	_ = c.broken(err)
}
