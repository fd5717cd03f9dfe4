package placementapi

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/api/policy"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

var update = flag.Bool("update", false, "write the answers into the scenarios")

// TestScenarios plays every file of testdata. The format:
//
//	# A comment.
//	% OPTION VALUE         of the server, see scenarioServer; begins with a new one
//	> METHOD PATH VERSION  a request; VERSION is minor (1.VERSION), "latest", or - for none
//	> header: value        an empty value takes a default away
//	> BODY                 anything that does not look like a header
//	< STATUS FLAGS         the answer: json, vary, no-cache, modified, no-version, header=value
//	< BODY                 of an error: its code and what it says
//
// $1 to $9 and $a to $f stand for the UUID that consists of that digit.
// go test -update writes the lines with <.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			compareLines(t, file, got, string(want))
		})
	}
}

func compareLines(t *testing.T, file, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Errorf("%s:%d:\n got %s\nwant %s", file, i+1, a, b)
			return
		}
	}
}

// play answers every request of a scenario and returns it with the answers.
func play(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	server := scenarioServer(t, "")
	var pending []string
	answer := func() {
		if len(pending) > 0 {
			out.WriteString(ask(t, server, pending))
			pending = nil
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "<") {
			continue
		}
		if request, ok := strings.CutPrefix(line, "> "); ok {
			if requestLine.MatchString(request) {
				answer()
			}
			pending = append(pending, request)
			out.WriteString(line + "\n")
			continue
		}
		answer()
		if options, ok := strings.CutPrefix(line, "%"); ok {
			server = scenarioServer(t, strings.TrimSpace(options))
		}
		out.WriteString(line + "\n")
	}
	answer()
	return out.String()
}

// scenarioServer makes a server on an empty engine: with a store, and a clock
// that moves on by a second with every reading.
func scenarioServer(t *testing.T, options string) *Server {
	t.Helper()
	s := mem.New(mem.Config{})
	t.Cleanup(func() { _ = s.Close() })
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := func() time.Time { clock = clock.Add(time.Second); return clock }
	engine, err := placement.Open(t.Context(), placement.Config{Store: s, Now: func() time.Time { return time.Unix(1e9, 0) }, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	cfg := Config{Engine: engine, Now: now}
	rules := policy.Config{Defaults: DefaultRules(), EnforceScope: true, Overrides: map[string]string{}}
	for option := range strings.SplitSeq(options, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(option), " ")
		switch name {
		case "", "fresh":
		case "new-defaults":
			rules.EnforceNewDefaults = true
		case "no-scope":
			rules.EnforceScope = false
		case "rule":
			rule, text, _ := strings.Cut(value, " ")
			rules.Overrides[rule] = text
		case "prefix":
			cfg.PathPrefix = value
		case "proxy-headers":
			cfg.ProxyHeaders = true
		case "cors":
			cfg.CORS = api.CORS{AllowedOrigins: []string{value}, AllowHeaders: []string{"openstack-api-version"}}
		case "max-candidates":
			cfg.MaxCandidates, _ = strconv.Atoi(value)
		case "breadth-first":
			cfg.BreadthFirst = true
		default:
			t.Fatalf("unknown option %q", option)
		}
	}
	if cfg.Policy, err = policy.New(rules); err != nil {
		t.Fatal(err)
	}
	server, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

var (
	requestLine = regexp.MustCompile(`^[A-Z]+ /\S* (-|latest|[0-9a-z.]+)$`)
	headerLine  = regexp.MustCompile(`^[a-zA-Z-]+:( |$)`)
	short       = regexp.MustCompile(`\$[1-9a-f]\b`)
	requestID   = regexp.MustCompile(`req-[0-9a-f-]{36}`)
	long        = regexp.MustCompile(`\b([1-9a-f])([1-9a-f]{7})-([1-9a-f]{4})-([1-9a-f]{4})-([1-9a-f]{4})-([1-9a-f]{12})\b`)
)

func lengthen(s string) string {
	return short.ReplaceAllStringFunc(s, func(v string) string {
		d := v[1:]
		return strings.Repeat(d, 8) + strings.Repeat("-"+strings.Repeat(d, 4), 3) + "-" + strings.Repeat(d, 12)
	})
}

func shorten(s string) string {
	return long.ReplaceAllStringFunc(s, func(u string) string {
		if lengthen("$"+u[:1]) == u {
			return "$" + u[:1]
		}
		return u
	})
}

// ask makes the request and returns the lines of the answer.
func ask(t *testing.T, server *Server, lines []string) string {
	t.Helper()
	words := strings.SplitN(lines[0], " ", 3)
	if len(words) != 3 {
		t.Fatalf("malformed request %q", lines[0])
	}
	var body io.Reader
	header := http.Header{"X-Auth-Token": {"admin"}, "Accept": {"application/json"}}
	for _, line := range lines[1:] {
		if !headerLine.MatchString(line) {
			body = strings.NewReader(lengthen(line))
			if header.Get("Content-Type") == "" {
				header.Set("Content-Type", "application/json")
			}
		}
	}
	version := words[2]
	if _, err := strconv.Atoi(version); err == nil {
		version = "1." + version
	}
	if version != "-" {
		header.Set(api.VersionHeader, "placement "+version)
	}
	for _, line := range lines[1:] {
		if !headerLine.MatchString(line) {
			continue
		}
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(value) == "" {
			header.Del(name)
		} else {
			header.Set(name, lengthen(strings.TrimSpace(value)))
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), words[0], lengthen(words[1]), body)
	r.Header, r.Host = header, "placement.test"
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	return describe(t, w, version)
}

// describe writes an answer down.
func describe(t *testing.T, w *httptest.ResponseRecorder, version string) string {
	t.Helper()
	h := w.Header()
	line := fmt.Sprintf("< %d", w.Code)
	if !requestID.MatchString(h.Get(api.RequestIDHeader)) {
		t.Errorf("no request id in %v", h)
	}
	switch sent := h.Get(api.VersionHeader); {
	case sent == "":
		line += " no-version"
	case version == "-" || version == "latest" || sent != "placement "+version:
		line += " version=" + strings.TrimPrefix(sent, "placement ")
	}
	if media := h.Get("Content-Type"); media == "application/json" {
		line += " json"
	} else if media != "" {
		line += " type=" + strings.ReplaceAll(media, " ", "")
	}
	if length := h.Get("Content-Length"); length != "" && length != strconv.Itoa(w.Body.Len()) {
		t.Errorf("Content-Length %s, the body has %d bytes", length, w.Body.Len())
	}
	if v := strings.Join(h.Values("Vary"), ","); v == "openstack-api-version" {
		line += " vary"
	} else if v != "" {
		line += " vary=" + v
	}
	if h.Get("Cache-Control") == "no-cache" {
		line += " no-cache"
	}
	if m := h.Get("Last-Modified"); m != "" {
		if _, err := time.Parse(http.TimeFormat, m); err != nil {
			t.Errorf("Last-Modified: %v", err)
		}
		line += " modified"
	}
	var more strings.Builder
	for _, name := range []string{"Allow", "Location", "Access-Control-Allow-Origin", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods"} {
		if v := h.Get(name); v != "" {
			more.WriteString(" " + strings.ToLower(name) + "=" + strings.ReplaceAll(v, " ", ""))
		}
	}
	return shorten(line+more.String()) + "\n" + describeBody(t, w.Body.String())
}

func describeBody(t *testing.T, body string) string {
	t.Helper()
	if body == "" {
		return ""
	}
	var document api.ErrorDocument
	if json.Unmarshal([]byte(body), &document) == nil && len(document.Errors) == 1 {
		e := document.Errors[0]
		if !requestID.MatchString(e.RequestID) {
			t.Errorf("no request id in %s", body)
		}
		_, detail, _ := strings.Cut(e.Detail, "\n\n")
		lines := "< " + e.Title + ": " + strings.TrimSpace(detail)
		if e.Code != "" {
			lines = "< " + e.Code + "\n" + lines
		}
		if e.MinVersion != "" {
			lines += " [" + e.MinVersion + " to " + e.MaxVersion + "]"
		}
		return shorten(lines) + "\n"
	}
	if strings.HasPrefix(body, "{") && !json.Valid([]byte(body)) {
		t.Errorf("not JSON: %s", body)
	}
	body = requestID.ReplaceAllString(strings.TrimRight(body, "\n"), "REQUEST")
	return "< " + strings.ReplaceAll(shorten(body), "\n", "\n< ") + "\n"
}
