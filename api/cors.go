package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// CORS says which pages of other sites a browser may let use the API. Without
// an allowed origin it does nothing.
//
// Source: oslo.middleware, cors.py.
type CORS struct {
	AllowedOrigins   []string // "*": every one
	AllowMethods     []string // none: GET, PUT, POST, DELETE, HEAD, PATCH
	AllowHeaders     []string
	ExposeHeaders    []string
	AllowCredentials bool
	MaxAge           int // seconds a browser remembers a preflight, 0: unsaid
}

// simpleHeaders need no permission.
var simpleHeaders = []string{"accept", "accept-language", "content-language", "content-type", "cache-control", "expires", "last-modified", "pragma"}

// Wrap returns next with CORS headers on its answers. It answers preflight
// requests itself.
func (c CORS) Wrap(next http.Handler) http.Handler {
	if len(c.AllowedOrigins) == 0 {
		return next
	}
	if len(c.AllowMethods) == 0 {
		c.AllowMethods = []string{"OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "PATCH"}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		allowed := origin != "" && (slices.Contains(c.AllowedOrigins, origin) || slices.Contains(c.AllowedOrigins, "*"))
		if r.Method == http.MethodOptions && origin != "" {
			if allowed {
				c.preflight(w, r, origin)
			}
			w.WriteHeader(http.StatusOK)
			return
		}
		if allowed {
			c.origin(w.Header(), origin)
			if len(c.ExposeHeaders) > 0 {
				w.Header().Set("Access-Control-Expose-Headers", strings.Join(c.ExposeHeaders, ","))
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (c CORS) origin(h http.Header, origin string) {
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", origin)
	if c.AllowCredentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

func (c CORS) preflight(w http.ResponseWriter, r *http.Request, origin string) {
	method := r.Header.Get("Access-Control-Request-Method")
	if !slices.Contains(c.AllowMethods, method) {
		return
	}
	var asked []string
	for name := range strings.SplitSeq(r.Header.Get("Access-Control-Request-Headers"), ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if !containsFold(c.AllowHeaders, name) && !containsFold(simpleHeaders, name) {
			return
		}
		asked = append(asked, name)
	}
	h := w.Header()
	c.origin(h, origin)
	h.Set("Access-Control-Allow-Methods", method)
	if len(asked) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(asked, ","))
	}
	if c.MaxAge > 0 {
		h.Set("Access-Control-Max-Age", strconv.Itoa(c.MaxAge))
	}
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(o string) bool { return strings.EqualFold(o, s) })
}
