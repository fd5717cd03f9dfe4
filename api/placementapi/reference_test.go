//go:build integration

package placementapi

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	referenceWSGI  = "/usr/bin/placement-api"
	referenceStart = 5 * time.Minute
)

// reference returns the address of an OpenStack Placement with noauth2: that
// of KILONOVA_REFERENCE_URL, or of the installed one (Debian's
// python3-placement, uwsgi-core, uwsgi-plugin-python3), which is started with
// an empty database and ended with the test.
func reference(t *testing.T) string {
	t.Helper()
	if url := os.Getenv("KILONOVA_REFERENCE_URL"); url != "" {
		return url
	}
	address, dir := freeAddress(t), t.TempDir()
	conf := fmt.Sprintf(`[api]
auth_strategy = noauth2
[placement_database]
connection = sqlite:///%s/placement.db
sqlite_synchronous = False
sync_on_startup = True
[oslo_policy]
enforce_scope = False
enforce_new_defaults = False
`, dir)
	if err := os.WriteFile(filepath.Join(dir, "placement.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("uwsgi", "--plugin", "python3", "--http-socket", address, "--wsgi-file", referenceWSGI,
		"--master", "--need-app", "--die-on-term", "--disable-logging", "--enable-threads", "--buffer-size", "65535")
	cmd.Env = append(os.Environ(), "OS_PLACEMENT_CONFIG_DIR="+dir, "PYTHONWARNINGS=ignore")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the installed Placement (or set KILONOVA_REFERENCE_URL): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(referenceStart); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if resp, err := http.Get("http://" + address + "/"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return "http://" + address
			}
		}
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("the installed Placement does not answer: %s", last(string(text), 2000))
	return ""
}

func last(s string, n int) string { return strings.TrimSpace(s[max(0, len(s)-n):]) }

// freeAddress is one on loopback where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
