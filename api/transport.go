package api

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// plainRefusal is how net/http begins its answer to what it cannot read as a
// request.
const plainRefusal = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// WithErrorDocuments returns a listener whose connections answer malformed
// HTTP, which no handler ever sees, with an error document as everything else
// is answered. It is for plain HTTP; under TLS the answers stay as they are.
func WithErrorDocuments(l net.Listener) net.Listener { return documentListener{l} }

type documentListener struct{ net.Listener }

// Accept waits for the next connection.
func (l documentListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return documentConn{c}, nil
}

type documentConn struct{ net.Conn }

// Write sends b, or an error document in its place.
func (c documentConn) Write(b []byte) (int, error) {
	const status = "HTTP/1.1 400 "
	if len(b) < len(status) || b[9] != '4' || !bytes.HasPrefix(b, []byte("HTTP/1.1 4")) {
		return c.Conn.Write(b)
	}
	head, text, found := strings.Cut(string(b[:min(len(b), 4096)]), plainRefusal)
	if !found || strings.Contains(head, "\r\n") {
		return c.Conn.Write(b)
	}
	document, ok := refusalDocument(head, text)
	if !ok {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(document); err != nil {
		return 0, err
	}
	return len(b), nil
}

// refusalDocument makes an answer with an error document of a status line and
// the text that says what is wrong.
func refusalDocument(head, text string) ([]byte, bool) {
	code, err := strconv.Atoi(head[len("HTTP/1.1 "):min(len(head), len("HTTP/1.1 400"))])
	if err != nil {
		return nil, false
	}
	if _, why, has := strings.Cut(text, ": "); has {
		text = why
	} else if code == http.StatusBadRequest {
		text = "the request is not HTTP as it should be; a content-length header must be an integer"
	}
	body, err := json.Marshal(ErrorDocument{Errors: []ErrorItem{{Status: code, Title: Title(code), Detail: sentences[code] + "\n\n " + text, RequestID: NewRequestID()}}})
	if err != nil {
		return nil, false
	}
	var out bytes.Buffer
	out.WriteString(head)
	out.WriteString("\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\nConnection: close\r\n\r\n")
	out.Write(body)
	return out.Bytes(), true
}
