package rabbit

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Secret is a text that is not shown by package fmt, by logs or as JSON.
type Secret string

// Format writes three stars, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// LogValue is three stars.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// MarshalText is three stars.
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Host is a broker.
type Host struct {
	Name     string
	Port     int
	User     string
	Password Secret
}

// Address is "NAME:PORT".
func (h Host) Address() string { return net.JoinHostPort(h.Name, strconv.Itoa(h.Port)) }

// URL is a parsed transport_url.
type URL struct {
	Hosts []Host // one or more
	VHost string
	Query map[string]string
}

const (
	defaultPort = 5672
	urlForm     = "rabbit://[USER:PASSWORD@]HOST[:PORT][,...]/[VHOST][?OPTION=VALUE&...]"
)

// ParseURL parses a transport_url such as
// "rabbit://user:password@host:5672,user:password@host2:5672/vhost?ssl=1".
// As in oslo.messaging, user, password and vhost may have %XX escapes, each
// host has its own user and password, which are "guest" if there are none, a
// missing host is localhost, a missing port 5672, and an empty vhost is "/".
// Unlike there, a port has to be one. Errors do not quote the URL.
//
// Source: oslo.messaging, transport.py, TransportURL.parse, and
// _drivers/impl_rabbit.py, Connection._transform_transport_url.
func ParseURL(text string) (URL, error) {
	text = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(strings.TrimSpace(text)) // as Python's urlsplit
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return URL{}, errors.New("transport_url has no scheme, allowed is: " + urlForm)
	}
	if !strings.EqualFold(scheme, "rabbit") {
		return URL{}, fmt.Errorf("transport_url has another scheme than rabbit, allowed is: %s", urlForm)
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	u := URL{VHost: unescape(path), Query: parseQuery(query)}
	if u.VHost == "" {
		u.VHost = "/"
	}
	if len(u.VHost) > 255 {
		return URL{}, fmt.Errorf("vhost of transport_url has %d bytes, allowed is: up to 255", len(u.VHost))
	}
	for part := range strings.SplitSeq(hosts, ",") {
		if part == "" {
			continue
		}
		host, err := parseHost(part)
		if err != nil {
			return URL{}, fmt.Errorf("host %d of transport_url: %w", len(u.Hosts)+1, err)
		}
		u.Hosts = append(u.Hosts, host)
	}
	if len(u.Hosts) == 0 {
		u.Hosts = []Host{{Name: "localhost", Port: defaultPort, User: "guest", Password: "guest"}}
	}
	return u, nil
}

func parseHost(text string) (Host, error) {
	h := Host{Port: defaultPort}
	address := text
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		user, password, _ := strings.Cut(text[:at], ":")
		h.User, h.Password, address = unescape(user), Secret(unescape(password)), text[at+1:]
	}
	if h.User == "" {
		h.User = "guest"
	}
	if h.Password == "" {
		h.Password = "guest"
	}
	port := ""
	address = strings.TrimSpace(address)
	switch {
	case strings.HasPrefix(address, "["): // IPv6
		name, after, closed := strings.Cut(address[1:], "]")
		if !closed || (after != "" && after[0] != ':') {
			return Host{}, errors.New("brackets do not match, allowed is: [ADDRESS]:PORT")
		}
		h.Name, port = name, strings.TrimPrefix(after, ":")
	case strings.Count(address, ":") == 1:
		h.Name, port, _ = strings.Cut(address, ":")
	default: // a name, or IPv6 without a port
		h.Name = address
	}
	if h.Name == "" {
		h.Name = "localhost"
	}
	if port == "" {
		return h, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return Host{}, errors.New("port is not one (a comma, colon, slash or @ in a password has to be written as %XX), allowed is: 1 to 65535")
	}
	h.Port = int(n)
	return h, nil
}

// unescape replaces %XX, and leaves what is no escape as it is.
func unescape(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if c, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// parseQuery leaves out options without a value; of repeated ones the values
// are joined by commas.
func parseQuery(text string) map[string]string {
	query := map[string]string{}
	for pair := range strings.SplitSeq(text, "&") {
		name, value, _ := strings.Cut(strings.ReplaceAll(pair, "+", " "), "=")
		name, value = unescape(name), unescape(value)
		if name == "" || value == "" {
			continue
		}
		if before, again := query[name]; again {
			value = before + "," + value
		}
		query[name] = value
	}
	return query
}

// String returns a URL that parses to the same, but for passwords, which are
// three stars.
func (u URL) String() string {
	var b strings.Builder
	b.WriteString("rabbit://")
	for i, h := range u.Hosts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(url.QueryEscape(h.User) + ":***@")
		b.WriteString(h.Address())
	}
	b.WriteString("/" + url.PathEscape(u.VHost))
	return b.String()
}
