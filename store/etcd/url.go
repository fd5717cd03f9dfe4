package etcd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Scheme begins every URL of a store in etcd.
const Scheme = "etcd://"

const (
	defaultPort = "2379"
	hidden      = "***"
)

// parameters are what may stand after the ? of a URL.
func parameters() []string {
	return []string{"cafile", "certfile", "keyfile", "tls", "insecure", "dial_timeout", "request_timeout"}
}

// ParseURL reads
//
//	etcd://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/PREFIX[?NAME=VALUE&...]
//
// The port is 2379 unless given. USER, PASSWORD and PREFIX may be, and their
// "/", "?", "@" and "%" must be, percent-encoded. Names are cafile, certfile and
// keyfile (files), tls and insecure (true or false: encrypt; do not verify the
// members' certificates), dial_timeout and request_timeout (such as 5s). Each of
// the first three, and insecure, means tls. No error tells a password.
func ParseURL(text string) (Config, error) {
	rest, ok := strings.CutPrefix(text, Scheme)
	if !ok {
		return Config{}, fmt.Errorf("scheme of %q, allowed is: %sHOST:PORT,HOST:PORT/PREFIX", HideSecret(text), Scheme)
	}
	authority, tail, slash := strings.Cut(rest, "/")
	if strings.Contains(tail, "@") || !slash && strings.Contains(authority, "?") {
		return Config{}, fmt.Errorf("%q: \"/\", \"?\" and \"@\" in user, password and prefix, allowed are: %%2F, %%3F and %%40", HideSecret(text))
	}
	prefix, query, _ := strings.Cut(tail, "?")
	var cfg Config
	var err error
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		if cfg.Username, cfg.Password, err = userinfo(authority[:at]); err != nil {
			return Config{}, err
		}
		authority = authority[at+1:]
	}
	if cfg.Endpoints, err = endpoints(authority); err != nil {
		return Config{}, err
	}
	if cfg.Prefix, err = url.PathUnescape(prefix); err != nil {
		return Config{}, fmt.Errorf("prefix is %q, allowed are percent signs before two hexadecimal digits", prefix)
	}
	if cfg, err = cfg.with(query); err != nil {
		return Config{}, err
	}
	if _, err := cfg.normal(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// userinfo reads USER:PASSWORD.
func userinfo(text string) (user, password string, err error) {
	user, password, _ = strings.Cut(text, ":")
	user, errUser := url.PathUnescape(user)
	password, errPassword := url.PathUnescape(password)
	if errUser != nil || errPassword != nil {
		return "", "", errors.New("user or password has a percent sign that begins no code, allowed is: %25")
	}
	return user, password, nil
}

func endpoints(text string) ([]string, error) {
	var list []string
	for hostport := range strings.SplitSeq(text, ",") {
		host, port, err := net.SplitHostPort(hostport)
		if err != nil { // there is no port, or this fails again
			host, port, err = net.SplitHostPort(hostport + ":" + defaultPort)
		}
		n, errPort := strconv.ParseUint(port, 10, 16)
		if err != nil || errPort != nil || n == 0 || host == "" || strings.ContainsAny(host, "/?#%\\ \t\r\n\"") {
			return nil, fmt.Errorf("endpoint is %q, allowed is: HOST or HOST:PORT, an IPv6 address in brackets", hostport)
		}
		list = append(list, net.JoinHostPort(host, strconv.FormatUint(n, 10)))
	}
	return list, nil
}

// with returns cfg with the parameters of a URL.
func (cfg Config) with(query string) (Config, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return cfg, fmt.Errorf("parameters are %q, allowed are: NAME=VALUE&NAME=VALUE, percent-encoded", query)
	}
	for name, list := range values {
		if !slices.Contains(parameters(), name) {
			return cfg, fmt.Errorf("parameter is %q, allowed are: %s", name, strings.Join(parameters(), ", "))
		}
		if len(list) > 1 || list[0] == "" {
			return cfg, fmt.Errorf("parameter %s is %q, allowed is: one value", name, list)
		}
	}
	encrypt, errTLS := truth(values, "tls", false)
	insecure, errInsecure := truth(values, "insecure", false)
	files := TLS{CAFile: values.Get("cafile"), CertFile: values.Get("certfile"), KeyFile: values.Get("keyfile"), Insecure: insecure}
	if files != (TLS{}) && values.Has("tls") && !encrypt {
		errTLS = errors.New("parameter tls is \"false\", allowed with cafile, certfile, keyfile or insecure is: true")
	}
	if encrypt || files != (TLS{}) {
		cfg.TLS = &files
	}
	var errDial, errRequest error
	cfg.DialTimeout, errDial = duration(values, "dial_timeout")
	cfg.RequestTimeout, errRequest = duration(values, "request_timeout")
	return cfg, errors.Join(errTLS, errInsecure, errDial, errRequest)
}

func truth(values url.Values, name string, otherwise bool) (bool, error) {
	switch text := values.Get(name); text {
	case "":
		return otherwise, nil
	case "true", "false":
		return text == "true", nil
	default:
		return false, fmt.Errorf("parameter %s is %q, allowed are: true, false", name, text)
	}
}

func duration(values url.Values, name string) (time.Duration, error) {
	text := values.Get(name)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("parameter %s is %q, allowed is: more than 0, such as 5s or 500ms", name, text)
	}
	return d, nil
}

// HideSecret returns a URL of any scheme, well formed or not, with *** in
// place of the password.
func HideSecret(text string) string {
	head, rest, ok := strings.Cut(text, "://")
	at := strings.LastIndex(rest, "@")
	if !ok || at < 0 {
		return text
	}
	user, _, has := strings.Cut(rest[:at], ":")
	if !has {
		return text
	}
	return head + "://" + user + ":" + hidden + rest[at:]
}

// String is the URL of cfg without its password and parameters.
func (cfg Config) String() string {
	user := ""
	if cfg.Username != "" {
		user = url.PathEscape(cfg.Username) + ":" + hidden + "@"
	}
	prefix := strings.ReplaceAll((&url.URL{Path: cfg.Prefix}).EscapedPath(), "@", "%40")
	return Scheme + user + strings.Join(cfg.Endpoints, ",") + "/" + prefix
}
