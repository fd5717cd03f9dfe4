package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/copying"
)

// storeExpect runs manage store copy from one URL to another, with more
// arguments.
func storeExpect(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	got, stdout, stderr := call(t, append([]string{"manage", "store", "copy", "--from", args[0], "--to"}, args[1:]...)...)
	if got != code || !strings.Contains(stdout+stderr, says) {
		t.Fatalf("copy %q: exit %d, want %d and %q\n%s%s", args, got, code, says, stdout, stderr)
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

// TestStoreCopyCells moves a control plane to another place on disk.
func TestStoreCopyCells(t *testing.T) {
	t.Parallel()
	moveCells(t, "badger://DIR/there")
}

// moveCells copies the API database and the database of a cell to what is
// below a URL, in which DIR is a folder of the test, and back, and uses them in
// every place.
func moveCells(t *testing.T, there string) {
	t.Helper()
	c := newCloud(t, usualConf)
	cell := c.setUp()
	there, here := strings.ReplaceAll(there, "DIR", c.dir), "badger://"+c.dir
	const api, cell1 = "--database=api", "--database=cell"

	storeExpect(t, 1, "allowed is: a directory with a database in its folder placement", here+"/control", there+"/control")
	storeExpect(t, 1, "allowed is: a directory with a database in its folder cell", here+"/control", there+"/control", cell1)
	storeExpect(t, 2, `--database is "nova", allowed are: ["placement" "api" "cell"]`, here+"/control", there+"/control", "--database=nova")
	if err := os.Rename(c.dir+"/control/api", c.dir+"/control/cell"); err != nil {
		t.Fatal(err)
	}
	storeExpect(t, 1, `holds database "api", --database is "cell"`, here+"/control", there+"/control", cell1)
	if err := os.Rename(c.dir+"/control/cell", c.dir+"/control/api"); err != nil {
		t.Fatal(err)
	}
	o, err := (&controlFlags{files: []string{c.conf}}).open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	storeExpect(t, 1, "etcd://", here+"/control", there+"/control", api) // it is in use
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}

	storeExpect(t, 0, "copying: ", here+"/control", there+"/control", api)
	storeExpect(t, 0, "removed  0", here+"/cell1", there+"/cell1", cell1)
	storeExpect(t, 0, "removed  0", here+"/cell1_cell0", there+"/cell1_cell0", cell1)
	storeExpect(t, 1, copying.ErrNotEmpty.Error(), here+"/control", there+"/control", api)
	storeExpect(t, 0, "removed  0", there+"/control", here+"/back/control", api)
	storeExpect(t, 0, "removed  0", there+"/cell1", here+"/back/cell1", cell1)
	storeExpect(t, 0, "removed  0", there+"/cell1_cell0", here+"/back/cell1_cell0", cell1)
	for _, place := range []string{there, here + "/back"} {
		moved := newCloud(t, strings.ReplaceAll(usualConf, "badger://DIR", place))
		moved.want(0, "1\n", "api_db version")
		moved.want(0, "1\n", "db version")
		moved.want(0, "", "cell_v2 update_cell --cell_uuid "+cell) // which takes the URL of the configuration
		moved.want(0, "", "cell_v2 update_cell --cell_uuid "+apidb.Cell0+" --transport-url none:/// --database_connection "+place+"/cell1_cell0")
		moved.want(0, "h2", "cell_v2 list_hosts --cell_uuid "+cell)
		moved.want(0, "is in cell: None ("+cell+")", "cell_v2 verify_instance --uuid "+fmt.Sprintf(serverForm, 2))
		moved.want(0, "", "cell_v2 map_instances --reset --cell_uuid "+cell)
		moved.want(0, "", "db sync")
	}
}
