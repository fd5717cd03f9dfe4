package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/copying"
)

// storeExpect runs manage store copy.
func storeExpect(t *testing.T, code int, says, from, to string) {
	t.Helper()
	got, stdout, stderr := call(t, "manage", "store", "copy", "--from", from, "--to", to)
	if got != code || !strings.Contains(stdout+stderr, says) {
		t.Fatalf("copy %s to %s: exit %d, want %d and %q\n%s%s", from, to, got, code, says, stdout, stderr)
	}
}

// halfCopied leaves a copy into a database unfinished.
func halfCopied(t *testing.T, connection string) {
	t.Helper()
	db, err := parseDatabase(connection, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := db.openStore(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	put := store.Batch{ID: store.BatchID{1}, Version: 1, Puts: []store.Put{{Key: store.Key{Kind: 210}, Value: []byte("there")}}}
	if res, err := s.Commit(t.Context(), put); err != nil || res.Outcome != store.Committed {
		t.Fatal(res, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStoreCopy(t *testing.T) {
	t.Parallel()
	_, url := source(t)
	dir := t.TempDir()
	a, b, half := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "half")
	expect(t, 0, "differences         0", "import", "--from", url, "--token", "admin", "--state-dir", a)
	storeExpect(t, 0, "removed  0", "badger://"+a, "badger://"+b)
	expect(t, 0, "violations       0", "verify", "--state-dir", b)
	expect(t, 0, `"name":"gpu"`, "export", "--state-dir", b, "--output", "-")
	storeExpect(t, 1, copying.ErrNotEmpty.Error(), "badger://"+a, "badger://"+b)
	storeExpect(t, 1, "allowed is: a directory with a database in its folder placement", "badger://"+dir+"/none", "badger://"+dir+"/c")
	storeExpect(t, 2, `--to is "memory://", allowed are: badger:///DIR, etcd://`, "badger://"+a, "memory://")

	halfCopied(t, "badger://"+half)
	expect(t, 1, copying.ErrUnfinished.Error(), "verify", "--state-dir", half)
	storeExpect(t, 1, copying.ErrUnfinished.Error(), "badger://"+half, "badger://"+dir+"/c")
	storeExpect(t, 0, "removed  0", "badger://"+a, "badger://"+half)
	expect(t, 0, "violations       0", "verify", "--state-dir", half)
}
