package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// shared is a buffer that one goroutine writes and another reads.
type shared struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

var listening = regexp.MustCompile(`listening on (\S+)\n`)

// start runs placement-api and returns its address and a function that ends
// it as SIGTERM does and returns its exit code and log.
func start(t *testing.T, args ...string) (addr string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var stderr shared
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"placement-api", "--auth-strategy", "noauth2", "--listen", "127.0.0.1:0"}, args...), io.Discard, &stderr)
	}()
	stop = func() (int, string) {
		cancel()
		return <-ended, stderr.String()
	}
	for range 1000 {
		if m := listening.FindStringSubmatch(stderr.String()); m != nil {
			return m[1], stop
		}
		time.Sleep(10 * time.Millisecond)
	}
	code, log := stop()
	t.Fatalf("does not listen: exit %d, %s", code, log)
	return "", nil
}

func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", "notused")
	r.Header.Set("Openstack-Api-Version", "placement 1.39")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestPlacementAPI(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	addr, stop := start(t, "--state-dir", state, "--path-prefix", "/placement")
	if code, body := ask(t, http.MethodPut, "http://"+addr+"/placement/resource_classes/CUSTOM_A", ""); code != http.StatusCreated {
		t.Errorf("create a class: %d %s", code, body)
	}
	if code, _, stderr := call(t, "placement-api", "--auth-strategy", "noauth2", "--listen", "127.0.0.1:0", "--state-dir", state); code != 1 || !strings.Contains(stderr, "with a shared store (etcd://) several processes can share: store is in use by another process") {
		t.Errorf("second start: exit %d, %s", code, stderr)
	}
	if code, log := stop(); code != 0 || !strings.Contains(log, `"status":201`) || !strings.Contains(log, `"request_id":"req-`) {
		t.Errorf("exit %d, log %s", code, log)
	}
	addr, stop = start(t, "--connection", "badger://"+state, "--access-log=false")
	if code, body := ask(t, http.MethodGet, "http://"+addr+"/resource_classes/CUSTOM_A", ""); code != http.StatusOK {
		t.Errorf("after a restart: %d %s", code, body)
	}
	if code, log := stop(); code != 0 || strings.Contains(log, "request_id") {
		t.Errorf("exit %d, log %s", code, log)
	}
}

// freePort is an address where nobody listens now.
func freePort(t *testing.T) string {
	t.Helper()
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	return free.Addr().String()
}

func TestAdminAddress(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	addr, stop := start(t, "--connection", "memory://", "--admin-listen", port)
	if code, _ := ask(t, http.MethodGet, "http://"+addr+"/usages?project_id=p", ""); code != http.StatusOK {
		t.Errorf("usages: %d", code)
	}
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ready",
		"/metrics":  "kilonova_placement_stale_seconds 0\n# TYPE kilonova_placement_alone gauge\nkilonova_placement_alone 0\n",
		"/metrics?": `kilonova_placement_requests_total{route="/usages",method="GET",status="200"} 1`,
	} {
		if code, body := ask(t, http.MethodGet, "http://"+port+path, ""); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, log := stop(); code != 0 {
		t.Errorf("exit %d, %s", code, log)
	}
}

func TestPlacementUsage(t *testing.T) {
	t.Parallel()
	conf := func(text string) string {
		path := filepath.Join(t.TempDir(), "placement.conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const noauth = "[api]\nauth_strategy = noauth2\n"
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "[keystone_authtoken] auth_url is needed"},
		{"--config-file " + conf("[keystone_authtoken]\nauth_url = http://x\n"), 2, "the user that validates tokens is missing"},
		{"--config-file " + conf("[keystone_authtoken]\nauth_url = http://x\nusername = u\ncafile = /no/such\n"), 1, "cafile"},
		{"--config-file " + conf("[keystone_authtoken]\nauth_url = http://x\nusername = u\nauth_type = kerberos\n"), 2, "allowed is: password, v3password"},
		{"--config-file " + conf("[keystone_authtoken]\nauth_url = http://x\nusername = u\n"), 2, "--state-dir or --connection is needed"},
		{"--auth-strategy none", 2, `--auth-strategy is "none", allowed are: noauth2, keystone`},
		{"--auth-strategy noauth2", 2, "--state-dir or --connection is needed"},
		{"--auth-strategy noauth2 --connection mysql://x", 2, `--connection is "mysql://x", allowed are: badger:///DIR, etcd://HOST:PORT,HOST:PORT/PREFIX, memory://`},
		{"--auth-strategy noauth2 --connection badger://relative", 2, "allowed are"},
		{"--auth-strategy noauth2 --connection mysql://u:secret@h/db", 2, `--connection is "mysql://u:***@h/db"`},
		{"--auth-strategy noauth2 --connection etcd://h:2379/", 2, `--connection: prefix is ""`},
		{"--auth-strategy noauth2 --connection etcd://127.0.0.1:1/p?cafile=/no/such", 1, `connect to etcd at ["127.0.0.1:1"]: read cafile: open /no/such`},
		{"--auth-strategy noauth2 --connection etcd://127.0.0.1:1/p?dial_timeout=50ms", 1, `open "p" in etcd at ["127.0.0.1:1"]: read the format`},
		{"--auth-strategy noauth2 --connection memory:// --listen 0.0.0.0:0", 2, "--insecure-listen lifts that"},
		{"--auth-strategy noauth2 --connection memory:// --listen nowhere", 2, `--listen is "nowhere", allowed is: HOST:PORT`},
		{"--auth-strategy noauth2 --connection memory:// --listen 127.0.0.1:99999", 1, "listen"},
		{"--auth-strategy noauth2 --connection memory:// --admin-listen 127.0.0.1:99999 --listen 127.0.0.1:0", 1, "listen"},
		{"--auth-strategy noauth2 --connection memory:// --tls-cert-file /no/such", 1, "read certificate"},
		{"--config-file /no/such", 1, "/no/such"},
		{"--config-file " + conf(noauth+"[placement]\nmax_allocation_candidates = many\n"), 2, `[placement] max_allocation_candidates is "many", allowed is: an integer of -1 or more`},
		{"--config-file " + conf(noauth+"[placement_database]\nconnection = mysql://x\n"), 2, "[placement_database] connection is"},
		{"--config-file " + conf(noauth+"[oslo_policy]\npolicy_file = none.yaml\n"), 1, "none.yaml"},
		{"--config-file " + conf("[api]\nauth_strategy = none\n"), 2, "auth_strategy"},
	} {
		code, stdout, stderr := call(t, append([]string{"placement-api"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want exit %d and %q", c.args, code, stdout, stderr, c.code, c.want)
		}
	}
}

// TestPackagedConfigurations starts a server with every file that is shipped.
func TestPackagedConfigurations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../packaging/placement/*.conf")
	if err != nil || len(files) != 5 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		addr, stop := start(t, "--connection", "memory://", "--config-file", file)
		if code, body := ask(t, http.MethodGet, "http://"+addr+"/resource_providers", ""); code != http.StatusOK {
			t.Errorf("%s: %d %s", file, code, body)
		}
		if code, log := stop(); code != 0 || strings.Contains(log, "unknown option") {
			t.Errorf("%s: exit %d, %s", file, code, log)
		}
	}
}
