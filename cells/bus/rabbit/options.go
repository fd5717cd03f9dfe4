package rabbit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options are those of [oslo_messaging_rabbit] that mean something here;
// docs/messages.md has all of them.
type Options struct {
	SSL                            bool
	SSLKeyFile                     string
	SSLCertFile                    string
	SSLCAFile                      string // empty: the system's
	SSLEnforceHostnameVerification bool
	LoginMethod                    string // PLAIN, AMQPLAIN, EXTERNAL
	Shuffle                        bool   // kombu_failover_strategy = shuffle: a random broker is the next
	ReconnectDelay                 time.Duration
	ReconnectSplay                 time.Duration
	RetryInterval                  time.Duration
	RetryBackoff                   time.Duration
	IntervalMax                    time.Duration
	Heartbeat                      time.Duration // in whole seconds; less than one: as the broker proposes
	DurableQueues                  bool
	QueuesTTL                      time.Duration // after which the broker drops a durable queue that nobody listens to; 0: never
}

// ignored are options of oslo.messaging that are read without effect.
var ignored = [...]string{
	"rpc_conn_pool_size", "conn_pool_min_size", "conn_pool_ttl", "ssl_enforce_fips_mode", "kombu_compression",
	"kombu_missing_consumer_retry_timeout", "kombu_reconnect_timeout", "rabbit_ha_queues", "rabbit_quorum_queue", "rabbit_transient_quorum_queue",
	"rabbit_quorum_delivery_limit", "rabbit_quorum_max_memory_length", "rabbit_quorum_max_memory_bytes",
	"rabbit_qos_prefetch_count", "heartbeat_rate", "heartbeat_in_pthread", "direct_mandatory_flag",
	"enable_cancel_on_failover", "use_queue_manager", "hostname", "processname", "rabbit_stream_fanout", "amqp_auto_delete",
}

// Lookup returns the value of an option of [oslo_messaging_rabbit], if it is set.
type Lookup func(option string) (value string, set bool)

// Parse makes a configuration from a transport_url and the options, of which
// those in the URL go before those that option knows, which may be nil. An
// error names all that is wrong, with option, value and what is allowed.
func Parse(transportURL string, option Lookup) (Config, error) {
	u, err := ParseURL(transportURL)
	if err != nil {
		return Config{}, err
	}
	r := reader{query: u.Query, option: option}
	o := Options{
		SSL:                            r.bool("ssl", false),
		SSLKeyFile:                     r.text("ssl_key_file", ""),
		SSLCertFile:                    r.text("ssl_cert_file", ""),
		SSLCAFile:                      r.text("ssl_ca_file", ""),
		SSLEnforceHostnameVerification: r.bool("ssl_enforce_hostname_verification", true),
		LoginMethod:                    r.choice("rabbit_login_method", "AMQPLAIN", "PLAIN", "EXTERNAL"),
		Shuffle:                        r.choice("kombu_failover_strategy", "round-robin", "shuffle") == "shuffle",
		ReconnectDelay:                 r.seconds("kombu_reconnect_delay", 0, 0),
		ReconnectSplay:                 r.seconds("kombu_reconnect_splay", 0, 0),
		RetryInterval:                  r.seconds("rabbit_retry_interval", 1, 1),
		RetryBackoff:                   r.seconds("rabbit_retry_backoff", 2, 0),
		IntervalMax:                    r.seconds("rabbit_interval_max", 30, 1),
		Heartbeat:                      r.seconds("heartbeat_timeout_threshold", 60, 0),
		DurableQueues:                  r.bool("amqp_durable_queues", false),
		QueuesTTL:                      r.seconds("rabbit_transient_queues_ttl", 1800, 0),
	}
	r.choice("ssl_version", "", "SSLv23", "TLSv1_2") // TLS 1.2 or newer in any case
	for name, value := range u.Query {
		if !slices.Contains(r.asked, name) && !slices.Contains(ignored[:], name) {
			r.wrong = append(r.wrong, fmt.Sprintf("option %.40q of transport_url is %.40q, allowed are: options of [oslo_messaging_rabbit]", name, value))
		}
	}
	if len(r.wrong) > 0 {
		slices.Sort(r.wrong)
		return Config{}, fmt.Errorf("rabbit options: %s", strings.Join(r.wrong, "; "))
	}
	return Config{URL: u, Options: o}, nil
}

// reader reads options, and collects what is wrong.
type reader struct {
	query  map[string]string
	option Lookup
	asked  []string
	wrong  []string
}

func (r *reader) text(name, fallback string) string {
	r.asked = append(r.asked, name)
	if value, set := r.query[name]; set {
		return value
	}
	if r.option != nil {
		if value, set := r.option(name); set {
			return value
		}
	}
	return fallback
}

func (r *reader) bool(name string, fallback bool) bool {
	switch value := r.text(name, ""); strings.ToLower(value) {
	case "":
		return fallback
	case "true", "1", "on", "yes":
		return true
	case "false", "0", "off", "no":
		return false
	default:
		r.bad(name, value, "true or false")
		return fallback
	}
}

func (r *reader) choice(name, fallback string, others ...string) string {
	value := r.text(name, fallback)
	for _, one := range append(others, fallback) {
		if strings.EqualFold(value, one) {
			return one
		}
	}
	r.bad(name, value, strings.Join(append(others, fallback), ", "))
	return fallback
}

func (r *reader) seconds(name string, fallback, least float64) time.Duration {
	value := r.text(name, "")
	if value == "" {
		return time.Duration(fallback * float64(time.Second))
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || !(n >= least && n <= 86400) {
		r.bad(name, value, fmt.Sprintf("%g to 86400 seconds", least))
		return 0
	}
	return time.Duration(n * float64(time.Second))
}

func (r *reader) bad(name, value, allowed string) {
	r.wrong = append(r.wrong, fmt.Sprintf("%s is %.40q, allowed is: %s", name, value, allowed))
}
