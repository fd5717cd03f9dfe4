package cells

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Resolve fills in a URL that is a template. Its {username}, {password},
// {hostname}, {port}, {scheme}, {query}, {fragment} and {path} are those of
// base; where base has several hosts, {username1}, {hostname2} and so on are
// those of each. What base has not is "". Two braces are one. An error names the field, and
// shows neither URL.
//
// Source: nova, objects/cell_mapping.py, CellMapping._format_url; a field that
// is missing is "None" there, and a template that is wrong is left as it is.
func Resolve(template, base string) (string, error) {
	if !strings.ContainsAny(template, "{}") {
		return template, nil
	}
	if base == "" {
		return "", fmt.Errorf("URL is a template, and the configuration has none that it could be filled from")
	}
	fields := urlFields(base)
	var b strings.Builder
	for rest := template; rest != ""; {
		at := strings.IndexAny(rest, "{}")
		if at < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:at])
		brace := rest[at]
		rest = rest[at+1:]
		if rest != "" && rest[0] == brace {
			b.WriteByte(brace)
			rest = rest[1:]
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if brace == '}' || !closed {
			return "", fmt.Errorf("a brace of the URL template has no other one; a brace itself is written twice")
		}
		value, known := fields[name]
		if !known {
			return "", fmt.Errorf("field of the URL template is %q, allowed are: %s", name, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		b.WriteString(value)
		rest = after
	}
	return b.String(), nil
}

// urlParts are the pieces of a URL. Unlike those of net/url they are as they
// are written, and several hosts are allowed.
type urlParts struct{ scheme, netloc, path, query, fragment string }

func splitURL(text string) urlParts {
	var p urlParts
	if scheme, rest, found := strings.Cut(text, "://"); found {
		p.scheme, text = scheme, rest
	}
	text, p.fragment, _ = strings.Cut(text, "#")
	text, p.query, _ = strings.Cut(text, "?")
	at := strings.IndexByte(text, '/')
	if at < 0 {
		at = len(text)
	}
	p.netloc, p.path = text[:at], text[at:]
	return p
}

// urlFields are the fields of a template.
func urlFields(base string) map[string]string {
	p := splitURL(base)
	fields := map[string]string{
		"scheme": strings.ToLower(p.scheme), "path": strings.TrimLeft(p.path, "/"), "query": p.query, "fragment": p.fragment,
	}
	hostFields(fields, p.netloc, "")
	if hosts := strings.Split(p.netloc, ","); len(hosts) > 1 {
		for i, host := range hosts {
			hostFields(fields, host, strconv.Itoa(i+1))
		}
	}
	return fields
}

// hostFields adds the fields of USER:PASSWORD@HOST:PORT; in several hosts, the
// user of the first and the address of the last.
func hostFields(fields map[string]string, netloc, suffix string) {
	user, address := "", netloc
	if at := strings.LastIndexByte(netloc, '@'); at >= 0 {
		user, address = netloc[:at], netloc[at+1:]
	}
	fields["username"+suffix], fields["password"+suffix], _ = strings.Cut(user, ":")
	u := url.URL{Host: address}
	fields["hostname"+suffix], fields["port"+suffix] = u.Hostname(), u.Port()
}

// Mask hides the password of a URL.
//
// Source: nova, cmd/manage.py, mask_passwd_in_url, which also drops what stands
// between the first and the last host. Here an @ after the hosts counts too:
// a password may have a slash that nobody escaped.
func Mask(text string) string {
	if text == "none:///" {
		return "none:/" // as it is known from nova-manage
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return text
	}
	at := strings.LastIndexByte(rest, '@')
	if colon := strings.IndexByte(rest, ':'); 0 <= colon && colon < at {
		rest = rest[:colon] + ":****" + rest[at:]
	}
	return scheme + "://" + rest
}

// Cell0Database returns the database that cell0 has where nobody names one:
// that of the connection with _cell0 after its path. It returns an error for a
// connection without a path.
//
// Source: nova, cmd/manage.py, CellV2Commands._map_cell0.
func Cell0Database(connection string) (string, error) {
	p := splitURL(connection)
	if strings.Trim(p.path, "/") == "" {
		return "", fmt.Errorf("database connection %q has no path that cell0's could be named after", Mask(connection))
	}
	head, tail := connection, ""
	if at := strings.IndexAny(connection, "?#"); at >= 0 {
		head, tail = connection[:at], connection[at:]
	}
	return strings.TrimRight(head, "/") + "_cell0" + tail, nil
}
