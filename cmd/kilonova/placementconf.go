package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/api/keystone"
	"github.com/kilonova-cloud/kilonova/api/placementapi"
	"github.com/kilonova-cloud/kilonova/api/policy"
	"github.com/kilonova-cloud/kilonova/internal/oslocfg"
)

// placementSections are the sections of placement.conf that placement-api
// reads; in others it does not look.
var placementSections = []string{"DEFAULT", "api", "placement", "placement_database", "keystone_authtoken", "oslo_policy", "oslo_middleware", "cors"}

// settings joins flags and configuration files. The flag counts where both
// say something.
func (f *placementFlags) settings(changed func(string) bool, logger *slog.Logger) (*placementSettings, error) {
	cfg, err := oslocfg.Read(f.configFiles...)
	if err != nil {
		return nil, failed(err)
	}
	set := &placementSettings{flags: f}
	auth := cfg.Choice("api", "auth_strategy", "keystone", "keystone", "noauth2")
	if f.authStrategy != "" {
		auth = f.authStrategy
	}
	if err := cfg.Err(); err != nil {
		return nil, err
	}
	if err := set.auth(auth, cfg); err != nil {
		return nil, err
	}
	set.options(cfg)
	set.api.PathPrefix = f.pathPrefix
	connection := cfg.String("placement_database", "connection", "")
	if err := errors.Join(cfg.Err(), set.policy(cfg, auth), set.where(connection, changed)); err != nil {
		return nil, err
	}
	if f.certFile != "" || f.keyFile != "" {
		if set.tls, err = newTLS(f.certFile, f.keyFile); err != nil {
			return nil, failed(err)
		}
	}
	for _, option := range cfg.Unknown(placementSections...) {
		logger.Warn("unknown option", slog.String("option", option))
	}
	return set, nil
}

// where finds the database.
func (set *placementSettings) where(connection string, changed func(string) bool) (err error) {
	f := set.flags
	switch {
	case f.connection != "":
		set.db, err = parseDatabase(f.connection, "--connection")
	case changed("state-dir"):
		set.db = database{dir: f.stateDir}
	case connection != "":
		set.db, err = parseDatabase(connection, "[placement_database] connection")
	default:
		err = errors.New("--state-dir or --connection is needed")
	}
	return err
}

func (set *placementSettings) auth(strategy string, cfg *oslocfg.Config) error {
	f := set.flags
	switch strategy {
	case "noauth2":
		set.api.Auth = api.NoAuth{}
		if f.insecureListen {
			return nil
		}
		return loopback(f.listen)
	case "keystone":
		return set.keystone(cfg)
	}
	return fmt.Errorf("--auth-strategy is %q, allowed are: noauth2, keystone", strategy)
}

// keystone reads how tokens are validated.
//
// Source: keystonemiddleware and keystoneauth1, [keystone_authtoken].
func (set *placementSettings) keystone(cfg *oslocfg.Config) error {
	const section = "keystone_authtoken"
	get := func(option string) string { return cfg.String(section, option, "") }
	url := get("auth_url")
	if url == "" {
		return errors.New("[keystone_authtoken] auth_url is needed (or --auth-strategy noauth2)")
	}
	cfg.Choice(section, "auth_type", "password", "password", "v3password", "v3applicationcredential")
	transport, err := identityTransport(get("cafile"), cfg.Bool(section, "insecure", false))
	if err != nil {
		return failed(err)
	}
	either := func(a, b string) string { return cmp.Or(get(a), get(b)) }
	set.api.Auth, err = keystone.New(keystone.Config{
		URL: url, Username: get("username"), UserID: get("user_id"), Password: get("password"),
		UserDomainName: either("user_domain_name", "default_domain_name"), UserDomainID: either("user_domain_id", "default_domain_id"),
		ProjectName: get("project_name"), ProjectID: get("project_id"),
		ProjectDomainName: either("project_domain_name", "default_domain_name"), ProjectDomainID: either("project_domain_id", "default_domain_id"),
		CredentialID: get("application_credential_id"), CredentialSecret: get("application_credential_secret"),
		PublicURL: either("www_authenticate_uri", "auth_uri"), Now: time.Now,
		CacheTime:            max(time.Nanosecond, time.Duration(cfg.Int(section, "token_cache_time", 300, -1))*time.Second), // 0 and less: none
		ServiceRoles:         cfg.List(section, "service_token_roles"),
		ServiceRolesRequired: cfg.Bool(section, "service_token_roles_required", false),
		Client:               &http.Client{Transport: transport, Timeout: time.Duration(cfg.Int(section, "http_connect_timeout", 15, 1)) * time.Second},
	})
	cfg.Ignore(section, "auth_section", "auth_version", "interface", "region_name", "memcached_servers", "memcache_security_strategy",
		"memcache_secret_key", "http_request_max_retries", "delay_auth_decision", "include_service_catalog", "enforce_token_bind", "certfile", "keyfile")
	return errors.Join(err, cfg.Err())
}

// identityTransport makes connections to Identity.
func identityTransport(caFile string, insecure bool) (*http.Transport, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read [keystone_authtoken] cafile: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("[keystone_authtoken] cafile %s has no certificate", caFile)
		}
	}
	return &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: cfg, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}, nil
}

// options reads what the API is made with.
func (set *placementSettings) options(cfg *oslocfg.Config) {
	a := &set.api
	a.MaxCandidates = max(0, cfg.Int("placement", "max_allocation_candidates", -1, -1))
	a.BreadthFirst = cfg.Choice("placement", "allocation_candidates_generation_strategy", "depth-first", "depth-first", "breadth-first") == "breadth-first"
	a.Randomize = cfg.Bool("placement", "randomize_allocation_candidates", false)
	a.StaleReads = cfg.Bool("placement", "stale_reads", false) // ours: a store that others share is not asked before each read
	a.IncompleteProject = cfg.String("placement", "incomplete_consumer_project_id", "")
	a.IncompleteUser = cfg.String("placement", "incomplete_consumer_user_id", "")
	cfg.Int("placement", "allocation_conflict_retry_count", 10, 0) // the engine plans on present state and has no such conflicts
	a.ProxyHeaders = cfg.Bool("oslo_middleware", "enable_proxy_headers_parsing", false)
	a.CORS = api.CORS{
		AllowedOrigins: cfg.List("cors", "allowed_origin"), AllowMethods: cfg.List("cors", "allow_methods"),
		AllowHeaders: cfg.List("cors", "allow_headers"), ExposeHeaders: cfg.List("cors", "expose_headers"),
		AllowCredentials: cfg.Bool("cors", "allow_credentials", true), MaxAge: cfg.Int("cors", "max_age", 3600, 0),
	}
	cfg.Ignore("DEFAULT", "debug", "log_file", "log_dir", "use_stderr", "use_syslog", "use_journal", "use_json", "log_options",
		"log_config_append", "default_log_levels", "pybasedir", "bindir", "state_path", "tempdir")
	cfg.Ignore("placement_database", "sync_on_startup", "max_pool_size", "max_overflow", "pool_timeout", "max_retries",
		"retry_interval", "connection_recycle_time", "slave_connection", "mysql_sql_mode", "connection_debug", "sqlite_synchronous")
	cfg.Ignore("oslo_middleware", "max_request_body_size", "http_basic_auth_user_file")
}

// policy reads the operator's rules. With noauth2 nobody has the role service
// unless he says so, and the former rules go on to grant by default.
func (set *placementSettings) policy(cfg *oslocfg.Config, auth string) error {
	rules := policy.Config{
		Defaults:           placementapi.DefaultRules(),
		Fallback:           cfg.String("oslo_policy", "policy_default_rule", "default"),
		EnforceScope:       cfg.Bool("oslo_policy", "enforce_scope", true),
		EnforceNewDefaults: cfg.Bool("oslo_policy", "enforce_new_defaults", auth == "keystone"),
	}
	cfg.Ignore("oslo_policy", "policy_dirs")
	if path := cfg.String("oslo_policy", "policy_file", ""); path != "" {
		if n := len(set.flags.configFiles); !filepath.IsAbs(path) && n > 0 {
			path = filepath.Join(filepath.Dir(set.flags.configFiles[n-1]), path)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return failed(fmt.Errorf("read [oslo_policy] policy_file: %w", err))
		}
		if rules.Overrides, err = policy.ParseFile(text); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	enforcer, err := policy.New(rules)
	set.api.Policy = enforcer
	return err
}
