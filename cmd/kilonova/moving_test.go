package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/api/moving"
	"github.com/kilonova-cloud/kilonova/api/placementapi"
	"github.com/kilonova-cloud/kilonova/placement"
)

// source is a Placement with two hosts, one of them with a child, and a
// consumer.
func source(t *testing.T) (*placement.Engine, string) {
	t.Helper()
	e, err := placement.Open(t.Context(), placement.Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	h1, h2, child := placement.UUID{1}, placement.UUID{2}, placement.UUID{3}
	for _, p := range []placement.Provider{{UUID: h1, Name: "h1"}, {UUID: h2, Name: "h2"}, {UUID: child, Name: "gpu", Parent: h2}} {
		if _, err := e.CreateProvider(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if _, err := e.SetInventories(t.Context(), p.UUID, map[string]placement.Inventory{"VCPU": placement.NewInventory(8)}, 0); err != nil {
			t.Fatal(err)
		}
	}
	err = e.SetAllocations(t.Context(), placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
		Consumer: placement.UUID{9}, Project: "p", User: "u", Type: "INSTANCE", Generation: placement.NewConsumer,
		Allocations: []placement.Allocation{{Provider: h1, Class: "VCPU", Amount: 3}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	api, err := placementapi.New(placementapi.Config{Engine: e, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return e, server.URL
}

// expect runs a command line and demands its exit code and what it says.
func expect(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	got, stdout, stderr := call(t, append([]string{"manage", "placement"}, args...)...)
	if got != code || !strings.Contains(stdout+stderr, says) {
		t.Fatalf("%v: exit %d, want %d and %q\n%s%s", args, got, code, says, stdout, stderr)
	}
}

func TestImportAndExport(t *testing.T) {
	t.Parallel()
	e, url := source(t)
	dir := t.TempDir()
	a, b, file := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "export.jsonl")
	expect(t, 0, "differences         0", "import", "--from", url, "--token", "admin", "--state-dir", a)
	expect(t, 1, "--update makes it equal", "import", "--from", url, "--token", "admin", "--state-dir", a)
	if err := e.DeleteAllocations(t.Context(), placement.UUID{9}); err != nil {
		t.Fatal(err)
	}
	expect(t, 0, "consumers           0", "import", "--from", url, "--token", "admin", "--state-dir", a, "--update")
	expect(t, 0, "differences         0", "export", "--state-dir", a, "--output", file)
	expect(t, 0, "resource providers  3", "import", "--file", file, "--state-dir", b)
	expect(t, 0, `"parent_provider_uuid":"02000000-0000-0000-0000-000000000000"`, "export", "--state-dir", b, "--output", "-")
	expect(t, 0, "violations       0", "verify", "--state-dir", b)

	target, targetURL := source(t)
	if err := target.DeleteAllocations(t.Context(), placement.UUID{9}); err != nil {
		t.Fatal(err)
	}
	if _, err := target.SetInventories(t.Context(), placement.UUID{1}, nil, placement.AnyGeneration); err != nil {
		t.Fatal(err)
	}
	expect(t, 0, "not restorable", "export", "--state-dir", b, "--to", targetURL, "--token", "admin")
	if inv, _, err := target.Inventories(placement.UUID{1}); err != nil || inv["VCPU"].Total != 8 {
		t.Fatalf("inventories of h1 are %v, %v", inv, err)
	}
}

// TestCutOffImport leaves a state directory that is not served until the
// import is run again.
func TestCutOffImport(t *testing.T) {
	t.Parallel()
	_, url := source(t)
	state := t.TempDir()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/traits") {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, url+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}))
	defer broken.Close()
	expect(t, 1, "503", "import", "--from", broken.URL, "--token", "admin", "--state-dir", state)
	expect(t, 1, moving.ErrUnfinished.Error(), "verify", "--state-dir", state)
	expect(t, 0, "differences         0", "import", "--from", url, "--token", "admin", "--state-dir", state)
	expect(t, 0, "violations       0", "verify", "--state-dir", state)
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.jsonl")
	if err := os.WriteFile(file, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, 2, "at least one of the flags in the group [from file] is required", "import", "--state-dir", t.TempDir())
	expect(t, 2, "--passes is 0, allowed is: 1 or more", "import", "--file", file, "--state-dir", t.TempDir(), "--passes", "0")
	expect(t, 1, `line 1: format is "", allowed is "kilonova-placement"`, "import", "--file", file, "--state-dir", t.TempDir())
	expect(t, 1, "allowed is: a directory with a database in its folder placement", "export", "--state-dir", t.TempDir(), "--output", "-")
}
