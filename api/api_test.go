package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNegotiate(t *testing.T) {
	t.Parallel()
	s := Service{Type: "compute", Min: Version{2, 1}, Max: Version{2, 96}}
	for header, want := range map[string]string{
		"":                             "2.1",
		"compute 2.90":                 "2.90",
		"COMPUTE  2.1 ":                "2.1",
		"compute latest":               "2.96",
		"placement 1.39":               "2.1",
		"compute 2.3, placement 1.39":  "2.3",
		"compute 2.3, compute 2.5":     "2.5",
		"compute":                      "2.1",
		"compute 2.97":                 "406",
		"compute 2.0":                  "406",
		"compute 3.1":                  "406",
		"compute two":                  "400",
		"compute 2":                    "400",
		"compute 2.1.1":                "400",
		"compute LATEST":               "400",
		",,":                           "2.1",
		strings.Repeat("compute,", 99): "2.1",
	} {
		h := http.Header{}
		if header != "" {
			h.Set(VersionHeader, header)
		}
		v, problem := s.Negotiate(h)
		got := v.String()
		if problem != nil {
			got = map[int]string{400: "400", 406: "406"}[problem.Status]
		}
		if got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestParseQuery(t *testing.T) {
	t.Parallel()
	q, err := ParseQuery("a=1&b&a=2+3&&c=%41%zz&=x")
	if err != nil || !slices.Equal(q, Query{{"a", "1"}, {"b", ""}, {"a", "2 3"}, {"c", "%41%zz"}, {"", "x"}}) {
		t.Errorf("%q, %v", q, err)
	}
	if q.Last("a") != "2 3" || !slices.Equal(q.All("a"), []string{"1", "2 3"}) || !q.Has("b") || q.Has("d") || q.Last("d") != "" || q.All("d") != nil {
		t.Errorf("lookups in %q are wrong", q)
	}
	for raw, want := range map[string]error{"a=%ff": errNotUTF8, strings.Repeat("&", MaxParams): errManyParams} {
		if _, err := ParseQuery(raw); !errors.Is(err, want) {
			t.Errorf("%.20q: %v, want %v", raw, err, want)
		}
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]struct {
		json  bool
		media string // of an error; "": JSON
	}{
		"":                                 {true, ""},
		"*/*":                              {true, ""},
		"application/json":                 {true, ""},
		"application/*":                    {true, ""},
		"text/html":                        {false, "text/html; charset=UTF-8"},
		"text/css":                         {false, "text/plain; charset=UTF-8"},
		"text/html, */*;q=0.8":             {true, "text/html; charset=UTF-8"},
		"application/json, text/html;q=.5": {true, ""},
		"application/json;q=0, */*":        {false, "text/html; charset=UTF-8"},
		"application/json;q=x":             {false, "text/plain; charset=UTF-8"},
		"application/json;v=1;q=0.1":       {true, ""},
		"nonsense":                         {true, "text/html; charset=UTF-8"},
	} {
		if got := AcceptsJSON(header); got != want.json {
			t.Errorf("%q: JSON %v, want %v", header, got, want.json)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if header != "" {
			r.Header.Set("Accept", header)
		}
		media, body := (&Error{Status: 404, Detail: "<b>"}).Page(r)
		if media != want.media || strings.HasPrefix(media, "text/html") && !strings.Contains(body, "&lt;b&gt;") {
			t.Errorf("%q: an error is %q, %q; want %q", header, media, body, want.media)
		}
	}
}

func TestErrorTable(t *testing.T) {
	t.Parallel()
	known := errors.New("known")
	table := ErrorTable{{Match: Is(known), Status: 409, Code: "code"}}
	if e := table.Find(errors.Join(io.EOF, known), "text"); e.Status != 409 || e.Code != "code" || e.Detail != "text" || !errors.Is(e, known) {
		t.Errorf("known: %+v", e)
	}
	if e := table.Find(io.EOF, "secret"); e.Status != 500 || strings.Contains(e.Detail, "secret") || !strings.Contains(e.Error(), "Internal") {
		t.Errorf("unknown: %+v", e)
	}
}

func TestNoAuth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header http.Header
		want   Identity
		err    bool
	}{
		{http.Header{}, Identity{}, true},
		{http.Header{"X-Auth-Token": {"admin"}}, Identity{User: "admin", Project: "admin", Roles: []string{"admin"}}, false},
		{http.Header{"X-Auth-Token": {"u:p"}}, Identity{User: "u", Project: "p"}, false},
		{http.Header{"X-Auth-Token": {""}}, Identity{}, false},
		{http.Header{"X-Auth-Token": {"u"}, "X-Roles": {"a, b"}}, Identity{User: "u", Project: "u", Roles: []string{"a", "b"}}, false},
		{http.Header{"X-Auth-Token": {"u"}, "Openstack-System-Scope": {"all"}}, Identity{User: "u", SystemScope: "all"}, false},
		{http.Header{"X-Auth-Token": {"u"}, "X-Project-Id": {"q"}}, Identity{User: "u", Project: "q"}, false},
	} {
		r := &http.Request{Header: c.header}
		who, err := NoAuth{}.Authenticate(r)
		if (err != nil) != c.err || who.User != c.want.User || who.Project != c.want.Project || who.SystemScope != c.want.SystemScope || !slices.Equal(who.Roles, c.want.Roles) {
			t.Errorf("%v: %+v, %v; want %+v", c.header, who, err, c.want)
		}
	}
	if who := (Identity{Roles: []string{"Reader"}}); !who.HasRole("reader") || who.HasRole("admin") {
		t.Error("roles are compared wrongly")
	}
}

// TestServeDrains: a request under way is answered after the context ended,
// and a new connection is refused.
func TestServeDrains(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, proceed := make(chan struct{}), make(chan struct{})
	server := NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-proceed
		_, _ = io.WriteString(w, "done")
	}))
	ctx, stop := context.WithCancel(t.Context())
	served, answered := make(chan error, 1), make(chan string, 1)
	go func() { served <- Serve(ctx, time.Minute, Endpoint{server, l}) }()
	url := "http://" + l.Addr().String()
	go func() {
		r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(resp.Body)
		answered <- string(b)
	}()
	<-entered
	stop()
	for { // until the listener is closed
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(proceed)
	if got := <-answered; got != "done" {
		t.Errorf("answer %q", got)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if err := Serve(t.Context(), time.Second, Endpoint{NewServer(nil), l}); err == nil {
		t.Error("serving on a closed listener succeeds")
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	a, b := NewRequestID(), NewRequestID()
	if a == b || len(a) != 40 || !strings.HasPrefix(a, "req-") || a[18] != '4' {
		t.Errorf("%s, %s", a, b)
	}
}
