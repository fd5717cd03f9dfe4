package api

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// Error is a refusal, ready to be sent.
type Error struct {
	Status int
	Detail string // what is wrong, without the status's standard sentence
	Code   string // stable, for programs; "" is the service's default
	Allow  string // methods, for 405
	// Challenge is the WWW-Authenticate of a 401.
	Challenge string
	// Outside is set when the request was refused around its handler and not
	// by it: OpenStack services then leave the vary header out.
	Outside bool
	Cause   error // for logs
}

// Error is the detail.
func (e *Error) Error() string { return http.StatusText(e.Status) + ": " + e.Detail }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an error of a status and its detail.
func Errorf(status int, detail string) *Error { return &Error{Status: status, Detail: detail} }

// titles are the reason phrases that OpenStack's web framework has, where
// they differ from Go's.
var titles = map[int]string{
	http.StatusRequestEntityTooLarge: "Request Entity Too Large",
	http.StatusRequestURITooLong:     "Request-URI Too Long",
}

// Title is the reason phrase of a status.
func Title(status int) string {
	if t := titles[status]; t != "" {
		return t
	}
	return http.StatusText(status)
}

// sentences are what each status means to a person.
//
// Source: webob, exc.py.
var sentences = map[int]string{
	http.StatusBadRequest: "The server could not comply with the request since it is either malformed or otherwise incorrect.",
	http.StatusUnauthorized: "This server could not verify that you are authorized to access the document you requested. " +
		"Either you supplied the wrong credentials (e.g., bad password), or your browser does not understand how to supply the credentials required.",
	http.StatusForbidden:             "Access was denied to this resource.",
	http.StatusNotFound:              "The resource could not be found.",
	http.StatusConflict:              "There was a conflict when trying to complete your request.",
	http.StatusRequestEntityTooLarge: "The body of your request was too large for this server.",
	http.StatusRequestURITooLong:     "The request URI was too long for this server.",
	http.StatusInternalServerError:   "The server has either erred or is incapable of performing the requested operation.",
	http.StatusInsufficientStorage:   "There was not enough space to save the resource",
	http.StatusServiceUnavailable:    "The server is currently unavailable. Please try again at a later time.",
}

// sentence is the standard sentence of the status.
func (e *Error) sentence(r *http.Request) string {
	switch e.Status {
	case http.StatusMethodNotAllowed:
		return "The method " + r.Method + " is not allowed for this resource. "
	case http.StatusNotAcceptable:
		return "The resource could not be generated that was acceptable to your browser\n(content of type " + cmp.Or(r.Header.Get("Accept"), "application/json") + ". "
	case http.StatusUnsupportedMediaType:
		return "The request media type " + r.Header.Get("Content-Type") + " is not supported by this server. "
	default:
		return sentences[e.Status]
	}
}

// Text is the whole detail: the standard sentence of the status, a blank
// line, and what is wrong.
func (e *Error) Text(r *http.Request) string {
	return strings.ReplaceAll(e.sentence(r), "\n", " ") + "\n\n " + strings.NewReplacer("\r", "", "\n", " ").Replace(e.Detail) + strings.Repeat(" ", e.comments())
}

// Markup is the whole detail with the line breaks of HTML, as some of
// OpenStack's middleware puts it into JSON.
//
// Source: webob, exc.py, body_template_obj and json_body.
func (e *Error) Markup(r *http.Request) string {
	return e.sentence(r) + "<br /><br />\n" + e.Detail + strings.Repeat("\n", e.comments())
}

// comments is how many empty lines stand after the detail, for a comment that
// nobody makes.
//
// Source: webob, exc.py, body_template_obj.
func (e *Error) comments() int {
	switch e.Status {
	case http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType:
		return 0
	default:
		return 2
	}
}

// escape makes text part of HTML.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;")

// Page is the error for clients that want HTML, or neither that nor JSON,
// with its media type. JSON clients get "".
//
// Source: webob, exc.py, generate_response.
func (e *Error) Page(r *http.Request) (media, body string) {
	accept := strings.Join(r.Header["Accept"], ",")
	title := strconv.Itoa(e.Status) + " " + Title(e.Status)
	asJSON, asHTML := acceptance(accept, "application/json"), acceptance(accept, "text/html")
	switch {
	case accept == "" || accept == "*/*" || asJSON > asHTML:
		return "", ""
	case asHTML > 0:
		return "text/html; charset=UTF-8", "<html>\n <head>\n  <title>" + title + "</title>\n </head>\n <body>\n  <h1>" + title + "</h1>\n  " +
			escape.Replace(e.sentence(r)) + "<br /><br />\n" + escape.Replace(e.Detail) + strings.Repeat("\n", e.comments()) + "\n </body>\n</html>"
	default:
		return "text/plain; charset=UTF-8", title + "\n\n" + e.Text(r)
	}
}

// ErrorItem is one error of a document, as OpenStack's guideline for errors
// has it.
type ErrorItem struct {
	Status     int    `json:"status"`
	Title      string `json:"title"`
	Detail     string `json:"detail"`
	Code       string `json:"code,omitempty"`
	RequestID  string `json:"request_id,omitempty"`
	MaxVersion string `json:"max_version,omitempty"`
	MinVersion string `json:"min_version,omitempty"`
}

// ErrorDocument is the body of a refusal.
type ErrorDocument struct {
	Errors []ErrorItem `json:"errors"`
}

// ErrorRow maps one error of an engine.
type ErrorRow struct {
	Match  func(error) bool
	Status int
	Code   string // "": the service's default
}

// Is matches the errors that wrap target.
func Is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// ErrorTable maps errors of an engine to what clients see of them; the first
// row that matches counts.
type ErrorTable []ErrorRow

// Find returns the refusal that err means, with detail as its text. An error
// that is in no row is a 500 that says nothing about its cause.
func (t ErrorTable) Find(err error, detail string) *Error {
	for _, row := range t {
		if row.Match(err) {
			return &Error{Status: row.Status, Code: row.Code, Detail: detail, Cause: err}
		}
	}
	return &Error{Status: http.StatusInternalServerError, Detail: "Unexpected error, see the log.", Cause: err}
}
