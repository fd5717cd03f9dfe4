package etcd

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Config{
		"etcd://h1/p":                  {Endpoints: []string{"h1:2379"}, Prefix: "p"},
		"etcd://h1:1,h2,[::1]:3/a/b":   {Endpoints: []string{"h1:1", "h2:2379", "[::1]:3"}, Prefix: "a/b"},
		"etcd://[::1]/p":               {Endpoints: []string{"[::1]:2379"}, Prefix: "p"},
		"etcd://root:p%40s%2Fs@h/p%3F": {Endpoints: []string{"h:2379"}, Prefix: "p?", Username: "root", Password: "p@s/s"},
		"etcd://u:a:b#c@h/p":           {Endpoints: []string{"h:2379"}, Prefix: "p", Username: "u", Password: "a:b#c"},
		"etcd://h/p?tls=true":          {Endpoints: []string{"h:2379"}, Prefix: "p", TLS: &TLS{}},
		"etcd://h/p?tls=false":         {Endpoints: []string{"h:2379"}, Prefix: "p"},
		"etcd://h/p?cafile=/a/b&certfile=c&keyfile=k": {
			Endpoints: []string{"h:2379"}, Prefix: "p", TLS: &TLS{CAFile: "/a/b", CertFile: "c", KeyFile: "k"},
		},
		"etcd://h/p?insecure=true&dial_timeout=1s&request_timeout=500ms": {
			Endpoints: []string{"h:2379"}, Prefix: "p", TLS: &TLS{Insecure: true}, DialTimeout: time.Second, RequestTimeout: time.Second / 2,
		},
	} {
		got, err := ParseURL(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestParseURLRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                     `scheme of "", allowed is: etcd://`,
		"http://u:secret@h/p":                  `scheme of "http://u:***@h/p", allowed is: etcd://`,
		"etcd://h":                             `prefix is "", allowed are 1 to 200 bytes`,
		"etcd://h/":                            `prefix is ""`,
		"etcd://h/p/":                          `prefix is "p/"`,
		"etcd://h//p":                          `prefix is "/p"`,
		"etcd:///p":                            `endpoint is "", allowed is: HOST or HOST:PORT`,
		"etcd://h1,/p":                         `endpoint is ""`,
		"etcd://h:0/p":                         `endpoint is "h:0"`,
		"etcd://h:99999/p":                     `endpoint is "h:99999"`,
		"etcd://::1/p":                         `endpoint is "::1"`,
		"etcd://h:1:2/p":                       `endpoint is "h:1:2"`,
		"etcd://http://h:1/p":                  `endpoint is "http:"`,
		"etcd://h?tls=true":                    `%2F, %3F and %40`,
		"etcd://u:se/cret@h/p":                 `"etcd://u:***@h/p": "/", "?" and "@" in user, password and prefix`,
		"etcd://u:se%cret@h/p":                 "user or password has a percent sign",
		"etcd://u@h/p":                         "one of user and password is missing",
		"etcd://:secret@h/p":                   "one of user and password is missing",
		"etcd://h/p%2":                         `prefix is "p%2"`,
		"etcd://h/p?ca=x":                      `parameter is "ca", allowed are: cafile, certfile, keyfile, tls, insecure, dial_timeout, request_timeout`,
		"etcd://h/p?tls=1":                     `parameter tls is "1", allowed are: true, false`,
		"etcd://h/p?tls=true&tls=true":         "allowed is: one value",
		"etcd://h/p?cafile=":                   "parameter cafile is [\"\"], allowed is: one value",
		"etcd://h/p?tls=false&cafile=x":        "parameter tls is \"false\"",
		"etcd://h/p?certfile=x":                "one of certfile and keyfile is missing",
		"etcd://h/p?dial_timeout=5":            `parameter dial_timeout is "5", allowed is: more than 0, such as 5s`,
		"etcd://h/p?request_timeout=-1s":       `parameter request_timeout is "-1s"`,
		"etcd://h/p?%":                         `parameters are "%"`,
		"etcd://h/" + strings.Repeat("x", 201): "allowed are 1 to 200 bytes",
	} {
		_, err := ParseURL(text)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "cret")
	}
}

func TestHideSecret(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"etcd://u:p@h/x":             "etcd://u:***@h/x",
		"mysql+pymysql://u:a@b@h/db": "mysql+pymysql://u:***@h/db",
		"etcd://u@h/x":               "etcd://u@h/x",
		"badger:///a":                "badger:///a",
		"nonsense:a@b":               "nonsense:a@b",
	} {
		require.Equal(t, want, HideSecret(text))
	}
}

// FuzzParseURL: what is read names the same place when it is written, and
// neither an error nor the text shows a password.
func FuzzParseURL(f *testing.F) {
	for _, text := range []string{
		"etcd://root:p%40ss@h1:2379,[::1]/a/b?cafile=x&tls=true&dial_timeout=5s", "etcd://h/p", "etcd://u:se/cret@h/p", "etcd://a%:b@c/d", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := ParseURL(text)
		if err != nil {
			return
		}
		shown := cfg.String()
		if len(cfg.Password) > 8 && strings.Contains(shown, cfg.Password) && !strings.Contains(cfg.Prefix+cfg.Username+strings.Join(cfg.Endpoints, ","), cfg.Password) {
			t.Fatalf("%q shows the password", shown)
		}
		again, err := ParseURL(shown)
		require.NoError(t, err, shown)
		require.Equal(t, cfg.Endpoints, again.Endpoints)
		require.Equal(t, cfg.Prefix, again.Prefix)
		require.Equal(t, cfg.Username, again.Username)
	})
}
