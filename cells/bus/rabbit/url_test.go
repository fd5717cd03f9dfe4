package rabbit

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	host := func(name string, port int, user, password string) Host {
		return Host{Name: name, Port: port, User: user, Password: Secret(password)}
	}
	for text, want := range map[string]URL{
		"rabbit://": {Hosts: []Host{host("localhost", 5672, "guest", "guest")}, VHost: "/"},
		"rabbit://u:p@h1:5672,u2:p2@h2:5673/cell1?ssl=1": {
			Hosts: []Host{host("h1", 5672, "u", "p"), host("h2", 5673, "u2", "p2")}, VHost: "cell1", Query: map[string]string{"ssl": "1"},
		},
		"rabbit://u:p@h1,h2/": {Hosts: []Host{host("h1", 5672, "u", "p"), host("h2", 5672, "guest", "guest")}, VHost: "/"},
		"rabbit://u:p@h//":    {Hosts: []Host{host("h", 5672, "u", "p")}, VHost: "/"},
		"RABBIT://h/%2Fa":     {Hosts: []Host{host("h", 5672, "guest", "guest")}, VHost: "/a"},
		"rabbit://u@x:p%2C%40%2F%3A%zz@[::1]:99/v#f": {
			Hosts: []Host{host("::1", 99, "u@x", "p,@/:%zz")}, VHost: "v",
		},
		"rabbit://fe80::1/v":        {Hosts: []Host{host("fe80::1", 5672, "guest", "guest")}, VHost: "v"},
		"rabbit://h/v?a=1&a=2&b=&c": {Hosts: []Host{host("h", 5672, "guest", "guest")}, VHost: "v", Query: map[string]string{"a": "1,2"}},
		"rabbit://h?a=x%20y+z":      {Hosts: []Host{host("h", 5672, "guest", "guest")}, VHost: "/", Query: map[string]string{"a": "x y z"}},
	} {
		if want.Query == nil {
			want.Query = map[string]string{}
		}
		if got, err := ParseURL(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "h1:5672", "amqp://u:sesame@h", "kombu+memory://", "rabbit://u:sesame@h:0", "rabbit://u:sesame@h:65536",
		"rabbit://u:sesame@h:x", "rabbit://u:sesame@[::1/v", "rabbit://u:sesame@[::1]5/v", "rabbit://u:sesame/x@h:1", "rabbit://h/" + strings.Repeat("v", 256),
	} {
		if u, err := ParseURL(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, u)
		} else if strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: the error tells the password: %v", text, err)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	cfg, err := Parse("rabbit://u:sesame@h/v", nil)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg.URL.Hosts[0].Password), fmt.Sprintf("%q %x %s", cfg.URL.Hosts[0].Password, cfg.URL.Hosts[0].Password, cfg.URL.Hosts[0].Password), cfg.URL.String(), string(asJSON)} {
		if strings.Contains(shown, "sesame") || strings.Contains(shown, "736573616d65") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("rabbit://u:p@h1:5672,u2:p2@[::1]:5673/cell1?ssl=1&a=b")
	f.Add("rabbit://%zz:%2F@h/%2F")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseURL(text)
		if err != nil {
			return
		}
		if len(u.Hosts) == 0 || u.VHost == "" {
			t.Fatalf("%q: %+v", text, u)
		}
		for _, h := range u.Hosts {
			if h.Name == "" || h.Port < 1 || h.Port > 65535 || h.User == "" || h.Password == "" {
				t.Errorf("%q: host %+v", text, h)
			}
		}
		_, _ = Parse(text, nil)
		_ = u.String()
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	set := map[string]string{
		"heartbeat_timeout_threshold": "20", "rabbit_retry_interval": "3", "kombu_failover_strategy": "shuffle", "rabbit_login_method": "PLAIN",
		"ssl": "false", "rabbit_ha_queues": "true",
	}
	cfg, err := Parse("rabbit://h/?ssl=yes&heartbeat_timeout_threshold=30", func(name string) (string, bool) { v, ok := set[name]; return v, ok })
	want := Options{
		SSL: true, SSLEnforceHostnameVerification: true, LoginMethod: "PLAIN", Shuffle: true, RetryInterval: 3 * time.Second, RetryBackoff: 2 * time.Second,
		IntervalMax: 30 * time.Second, Heartbeat: 30 * time.Second, QueuesTTL: 30 * time.Minute,
	}
	if err != nil || cfg.Options != want {
		t.Errorf("got %+v, %v, want %+v", cfg.Options, err, want)
	}
	for query, part := range map[string]string{
		"ssl=perhaps":                    "ssl is \"perhaps\"",
		"ssl_version=SSLv3":              "ssl_version is \"SSLv3\"",
		"rabbit_login_method=CR":         "rabbit_login_method is \"CR\"",
		"rabbit_retry_interval=0":        "rabbit_retry_interval is \"0\"",
		"heartbeat_timeout_threshold=-1": "heartbeat_timeout_threshold is \"-1\"",
		"kombu_reconnect_delay=NaN":      "kombu_reconnect_delay is \"NaN\"",
		"no_such=1":                      "option \"no_such\" of transport_url",
	} {
		if _, err := Parse("rabbit://u:sesame@h/?"+query, nil); err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v, want %s", query, err, part)
		}
	}
}

// TestOnlyDurable: brokers that refuse queues which are not durable are known
// by their version.
func TestOnlyDurable(t *testing.T) {
	t.Parallel()
	for version, want := range map[any]bool{
		"3.10.8": false, "3.13.7": false, "4.0.5": false, "4.2.99": false, "4.3.0": true, "4.3.0-rc.1": true, "4.10.1": true, "5.0.0": true,
		"": false, "new": false, 43: false, nil: false,
	} {
		if got := onlyDurable(amqp.Table{"product": "RabbitMQ", "version": version}); got != want {
			t.Errorf("%v: %t, want %t", version, got, want)
		}
	}
	if onlyDurable(amqp.Table{"product": "another", "version": "7.0.0"}) {
		t.Error("a version of another product")
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	o := Options{RetryInterval: time.Second, RetryBackoff: 2 * time.Second, IntervalMax: 4 * time.Second, ReconnectDelay: 100 * time.Millisecond, ReconnectSplay: time.Second}
	for failed, most := range []time.Duration{time.Second, 3 * time.Second, 4 * time.Second, 4 * time.Second} {
		for _, share := range []float64{0, 0.5} {
			want := time.Duration(share*float64(most+time.Second)) + 100*time.Millisecond
			if got := o.Delay(failed, func() float64 { return share }); got != want {
				t.Errorf("after %d failed, share %v: %s, want %s", failed, share, got, want)
			}
		}
	}
}
