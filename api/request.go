package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// RequestIDHeader carries the identifier of a request in its response.
const RequestIDHeader = "X-Openstack-Request-Id"

// NewRequestID returns "req-" and a random UUID.
func NewRequestID() string {
	var u [16]byte
	_, _ = rand.Read(u[:]) // never fails
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	b := make([]byte, 0, 40)
	b = append(b, "req-"...)
	for i, part := range [][]byte{u[:4], u[4:6], u[6:8], u[8:10], u[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return string(b)
}

// Param is one parameter of a query string.
type Param struct{ Key, Value string }

// Query is a query string in its order.
type Query []Param

// MaxParams is how many parameters a query string may have.
const MaxParams = 10_000

// errQuery is what is wrong with a query string.
var (
	errManyParams = errors.New("too many parameters")
	errNotUTF8    = errors.New("it is not valid UTF-8")
)

// ParseQuery reads a query string, whose parameters & or ; separate. As Python
// does, it keeps parameters without a value and takes a malformed escape for
// what it looks like.
//
// Source: webob, compat.py, parse_qsl.
func ParseQuery(raw string) (Query, error) {
	if raw == "" {
		return nil, nil
	}
	if strings.Contains(raw, ";") {
		raw = strings.ReplaceAll(raw, ";", "&")
	}
	if strings.Count(raw, "&") >= MaxParams {
		return nil, errManyParams
	}
	q := make(Query, 0, strings.Count(raw, "&")+1)
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		p := Param{unescape(key), unescape(value)}
		if !utf8.ValidString(p.Key) || !utf8.ValidString(p.Value) {
			return nil, errNotUTF8
		}
		q = append(q, p)
	}
	return q, nil
}

func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return strings.ReplaceAll(s, "+", " ")
}

// Has reports whether there is a parameter key.
func (q Query) Has(key string) bool {
	for _, p := range q {
		if p.Key == key {
			return true
		}
	}
	return false
}

// Last returns the last value of key, "" when there is none.
func (q Query) Last(key string) string {
	for _, p := range slices.Backward(q) {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}

// All returns every value of key.
func (q Query) All(key string) []string {
	var list []string
	for _, p := range q {
		if p.Key == key {
			list = append(list, p.Value)
		}
	}
	return list
}

// AcceptsJSON reports whether an Accept header goes with application/json. A
// missing or malformed one does.
func AcceptsJSON(header string) bool {
	return header == "" || header == "*/*" || acceptance(header, "application/json") > 0
}

// acceptance is how much an Accept header wants a media type, 0 to 1. The
// most specific range that matches counts; a malformed header wants all.
func acceptance(header, media string) float64 {
	kind, _, _ := strings.Cut(media, "/")
	rank := map[string]int{"*/*": 1, kind + "/*": 2, media: 3}
	best, wanted := 0, 0.0
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if !strings.Contains(name, "/") {
			return 1
		}
		if r := rank[name]; r > best {
			best, wanted = r, quality(params)
		}
	}
	return wanted
}

// quality returns the q parameter of a media range, 1 without one.
func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		if name, value, found := strings.Cut(strings.TrimSpace(p), "="); found && strings.EqualFold(name, "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				return 0
			}
			return q
		}
	}
	return 1
}

// MediaType is the media type of a Content-Type header, without parameters.
func MediaType(r *http.Request) string {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.TrimSpace(media)
}
