//go:build integration

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
	"github.com/kilonova-cloud/kilonova/store/copying"
)

// etcdURL names a fresh prefix in the cluster that .ci/etcd.sh starts.
func etcdURL(t *testing.T) string {
	t.Helper()
	members := os.Getenv("KILONOVA_ETCD")
	if members == "" {
		t.Fatal("KILONOVA_ETCD names the endpoints; .ci/etcd.sh sets it")
	}
	return fmt.Sprintf("etcd://%s/%s/%d", members, t.Name(), time.Now().UnixNano())
}

// eventually repeats what another process has to hear of first.
func eventually(t *testing.T, do func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = do(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// holds demands the VCPUs of a consumer.
func (c *client) holds(consumer, provider string, want int) error {
	var got holding
	if _, err := c.call(http.MethodGet, "/allocations/"+consumer, nil, &got); err != nil {
		return err
	}
	if n := got.Allocations[provider].Resources["VCPU"]; n != want {
		return fmt.Errorf("%s holds %d VCPU, want %d", consumer, n, want)
	}
	return nil
}

func (c *client) claim(consumer, provider string, amount int) error {
	_, err := c.call(http.MethodPut, "/allocations/"+consumer, object{
		"allocations": object{provider: object{"resources": object{"VCPU": amount}}},
		"project_id":  "p", "user_id": "u", "consumer_type": "INSTANCE", "consumer_generation": nil,
	}, nil)
	return err
}

// TestEtcdShared has a claim through one process read from another, and from
// the first after it was killed and came back.
func TestEtcdShared(t *testing.T) {
	t.Parallel()
	url := etcdURL(t)
	a, b := startConnected(t, url), startConnected(t, url)
	host, first, second := hostID(1), hostID(2), hostID(3)
	if err := a.client().provider(host, "", map[string]int{"VCPU": 4}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return b.client().claim(first, host, 3) })
	eventually(t, func() error { return a.client().holds(first, host, 3) })
	if err := a.client().claim(second, host, 2); err == nil || !strings.Contains(err.Error(), "409") {
		t.Fatalf("a fifth VCPU of four: %v", err)
	}
	a.kill()
	if err := b.client().claim(second, host, 1); err != nil {
		t.Fatal(err)
	}
	a = startConnected(t, url)
	for consumer, want := range map[string]int{first: 3, second: 1} {
		if err := a.client().holds(consumer, host, want); err != nil {
			t.Error(err)
		}
	}
	expect(t, 0, "violations  0", "verify", "--connection", url)
	expect(t, 1, "there is no store under the prefix", "verify", "--connection", url+"/none")
}

// TestEtcdCopy moves a database from Badger to etcd and back.
func TestEtcdCopy(t *testing.T) {
	t.Parallel()
	_, url := source(t)
	dir, connection := t.TempDir(), etcdURL(t)
	there, back := filepath.Join(dir, "there"), filepath.Join(dir, "back")
	expect(t, 0, "differences         0", "import", "--from", url, "--token", "admin", "--state-dir", there)
	halfCopied(t, connection)
	expect(t, 1, copying.ErrUnfinished.Error(), "verify", "--connection", connection)
	storeExpect(t, 0, "removed  0", "badger://"+there, connection)
	expect(t, 0, "violations  0", "verify", "--connection", connection)
	storeExpect(t, 1, copying.ErrNotEmpty.Error(), "badger://"+there, connection)
	p := startConnected(t, connection)
	if err := p.client().claim(hostID(5), "02000000-0000-0000-0000-000000000000", 2); err != nil {
		t.Fatal(err)
	}
	p.kill()
	storeExpect(t, 0, "removed  0", connection, "badger://"+back)
	expect(t, 0, "violations       0", "verify", "--state-dir", back)
	expect(t, 0, hostID(5), "export", "--state-dir", back, "--output", "-")
}

// TestEtcdFull fills a member up to its quota: writes are refused with 507 and
// have not happened, the server is not ready, and reads go on; when an
// operator has made space it is ready again, and writes succeed.
func TestEtcdFull(t *testing.T) {
	t.Parallel()
	c, err := etcdtest.Start(t.Context(), etcdtest.Config{
		Server: os.Getenv("ETCD_SERVER"), Dir: t.TempDir(), Members: 1, Flags: []string{"--quota-backend-bytes=1000000"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	admin := freePort(t)
	p := startConnected(t, fmt.Sprintf("etcd://%s/full", c.Endpoints()[0]), "--admin-listen", admin)
	api := p.client()
	host := hostID(1)
	if err := api.provider(host, "", map[string]int{"VCPU": 1 << 20}); err != nil {
		t.Fatal(err)
	}
	for n := range 5000 {
		consumer := fmt.Sprintf("00000009-0000-4000-8000-%012d", n)
		err := api.claim(consumer, host, 1)
		if err == nil {
			continue
		}
		if !strings.Contains(err.Error(), ": 507 ") || !strings.Contains(err.Error(), "no space left for the store") {
			t.Fatalf("claim %d: %v", n, err)
		}
		if err := api.holds(consumer, host, 0); err != nil {
			t.Error(err)
		}
		if err := api.claim(consumer, host, 1); err == nil || !strings.Contains(err.Error(), ": 507 ") {
			t.Errorf("another try: %v", err)
		}
		t.Logf("full after %d claims", n)
		if code, text := ask(t, http.MethodGet, "http://"+admin+"/readyz", ""); code != http.StatusServiceUnavailable || !strings.Contains(text, "no space left for the store") {
			t.Errorf("readiness: %d %s", code, text)
		}
		if err := c.MakeSpace(t.Context()); err != nil {
			t.Fatal(err)
		}
		for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if code, text := ask(t, http.MethodGet, "http://"+admin+"/readyz", ""); code == http.StatusOK {
				break
			} else if time.Now().After(until) {
				t.Fatalf("readiness: %d %s", code, text)
			}
		}
		if err := api.claim(consumer, host, 1); err != nil {
			t.Error(err)
		}
		return
	}
	t.Fatal("never full")
}
