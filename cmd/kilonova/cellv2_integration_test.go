//go:build integration

package main

import (
	"strings"
	"testing"
)

// TestEtcdSetUpCells sets cells up in etcd, beside a process that has the API
// database open.
func TestEtcdSetUpCells(t *testing.T) {
	t.Parallel()
	url := etcdURL(t)
	c := newCloud(t, strings.NewReplacer("badger://DIR/control", url+"/api", "badger://DIR/cell1", url+"/cell1").Replace(usualConf))
	c.want(255, "", "cell_v2 list_cells") // and it makes nothing
	c.want(0, "", "api_db sync")
	f := controlFlags{files: []string{c.conf}}
	o, err := f.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.want(0, "", "cell_v2 map_cell0")
	c.want(0, "", "db sync")
	c.want(0, "1\n", "db version")
	cell := uuids.FindString(c.want(0, "", "cell_v2 create_cell --name east --verbose"))
	out := squeeze(c.want(0, "", "cell_v2 list_cells"))
	for _, want := range []string{"| none:/ | " + url + "/cell1_cell0 |", "| east | " + cell + " | rabbit://stack:****@h1:5672/ | " + url + "/cell1 |"} {
		if !strings.Contains(out, want) {
			t.Errorf("list_cells printed\n%s without %s", out, want)
		}
	}
	if err := o.api.Fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if seen, err := o.Cell(cell); err != nil || seen.Name != "east" {
		t.Errorf("the open database has cell %v, %v", seen, err)
	}
	c.want(0, "", "cell_v2 delete_cell --cell_uuid "+cell)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	swapped := newCloud(t, "[api_database]\nconnection = "+url+"/cell1\n")
	swapped.want(255, `it is database "cell" and not "api"`, "api_db sync")
}

// TestEtcdCopyCells moves a control plane from Badger to etcd and back.
func TestEtcdCopyCells(t *testing.T) {
	t.Parallel()
	url := etcdURL(t)
	moveCells(t, url)
	storeExpect(t, 1, `holds database "api", --database is "placement"`, url+"/control", "badger://"+t.TempDir())
	storeExpect(t, 1, `holds database "cell", --database is "api"`, url+"/cell1", "badger://"+t.TempDir(), "--database=api")
	storeExpect(t, 1, "there is no store under the prefix", url+"/none", "badger://"+t.TempDir(), "--database=api")
}
