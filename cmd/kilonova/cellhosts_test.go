package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// fill changes the database of a cell, as its conductor would.
func (c *cloud) fill(name string, change func(db *celldb.DB, tx *table.Tx) error) {
	c.t.Helper()
	db, closeDB, err := openCell(c.t.Context(), "badger://"+c.dir+"/"+name)
	if err != nil {
		c.t.Fatal(err)
	}
	_, err = db.Update(c.t.Context(), func(tx *table.Tx) error { return change(db, tx) })
	if err := errors.Join(err, closeDB()); err != nil {
		c.t.Fatal(err)
	}
}

const serverForm = "5e4e5f1b-0000-4000-8000-%012d"

// grow gives a cell a host with two compute nodes, another one, and instances.
func (c *cloud) grow(name string, instances int) {
	c.t.Helper()
	c.fill(name, func(db *celldb.DB, tx *table.Tx) (err error) {
		for i, host := range []string{"h1", "h1", "h2"} {
			err = errors.Join(err, db.Nodes.Put(tx, celldb.ComputeNode{UUID: fmt.Sprintf("%s-%d", host, i), Host: host, Node: host}))
		}
		for i := range instances {
			err = errors.Join(err, db.Instances.Put(tx, celldb.Instance{
				UUID: fmt.Sprintf(serverForm, i), Project: "p", User: "u", Host: "h1", Created: time.Unix(int64(i), 0),
			}))
		}
		return errors.Join(err, db.Services.Put(tx, celldb.Service{UUID: "s", Host: "h3", Binary: celldb.ComputeBinary}))
	})
}

// setUp makes a cloud of one cell, and returns the cell's UUID.
func (c *cloud) setUp() string {
	c.t.Helper()
	c.want(0, "", "api_db sync")
	c.want(0, "", "db sync")
	c.want(1, "No hosts found to map to cell, exiting.", "cell_v2 simple_cell_setup")
	c.grow("cell1", 3)
	c.want(0, "Cell0 is already setup", "cell_v2 simple_cell_setup")
	c.want(0, "All hosts are already mapped to cell(s).", "cell_v2 simple_cell_setup")
	c.want(0, "1\n", "db version")
	for _, uuid := range uuids.FindAllString(c.want(0, "", "cell_v2 list_hosts"), -1) {
		return uuid
	}
	c.t.Fatal("no host is mapped")
	return ""
}

func TestSimpleCellSetup(t *testing.T) {
	t.Parallel()
	c := newCloud(t, usualConf)
	cell := c.setUp()
	want := strings.ReplaceAll(`+-----------+--------------------------------------+----------+
| Cell Name |              Cell UUID               | Hostname |
+-----------+--------------------------------------+----------+
|    None   | <uuid> |    h1    |
|    None   | <uuid> |    h2    |
+-----------+--------------------------------------+----------+
`, "<uuid>", cell)
	if got := c.want(0, "", "cell_v2 list_hosts --cell_uuid "+cell); got != want {
		t.Errorf("list_hosts printed\n%s want\n%s", got, want)
	}
	c.want(1, "Cell with uuid x was not found.", "cell_v2 list_hosts --cell_uuid x")

	server := fmt.Sprintf(serverForm, 0)
	c.want(0, "Instance "+server+" is in cell: None ("+cell+")", "cell_v2 verify_instance --uuid "+server)
	c.want(1, "Instance x is not mapped to a cell (upgrade is incomplete) or instance does not exist", "cell_v2 verify_instance --uuid x")
	if out := c.want(1, "", "cell_v2 verify_instance --quiet --uuid x"); out != "" {
		t.Errorf("verify_instance --quiet printed %q", out)
	}
	c.want(2, `required flag(s) "uuid" not set`, "cell_v2 verify_instance")
	c.fill("cell1", func(db *celldb.DB, tx *table.Tx) error {
		return errors.Join(db.Instances.Put(tx, celldb.Instance{UUID: server, Deleted: time.Unix(9, 0)}), db.Instances.Delete(tx, fmt.Sprintf(serverForm, 1)))
	})
	c.want(3, "The instance with uuid "+server+" has been deleted.", "cell_v2 verify_instance --uuid "+server)
	c.want(4, "However its instance_mapping remains.", "cell_v2 verify_instance --uuid "+fmt.Sprintf(serverForm, 1))
}

func TestMapCellAndHosts(t *testing.T) {
	t.Parallel()
	c := newCloud(t, usualConf)
	c.want(0, "", "api_db sync")
	c.want(0, "", "db sync")
	c.want(0, "No hosts found to map to cell, exiting.\n", "cell_v2 map_cell_and_hosts")
	c.want(1, "Invalid transport URL", "cell_v2 map_cell_and_hosts --transport-url amqp://h")
	c.grow("cell1", 0)
	cell := uuids.FindString(c.want(0, "", "cell_v2 map_cell_and_hosts --name east --verbose"))
	out := c.want(0, "All hosts are already mapped to cell(s).\n", "cell_v2 map_cell_and_hosts --verbose")
	if n := strings.Count(out, "is already mapped to cell "+cell+"\n"); n != 3 || !strings.Contains(out, "Host h2 is already") {
		t.Errorf("map_cell_and_hosts --verbose printed\n%s, want %s with three compute nodes", out, cell)
	}
	if out := c.want(0, "", "cell_v2 list_hosts"); strings.Count(squeeze(out), "| east | "+cell+" | h") != 2 {
		t.Errorf("list_hosts printed\n%s", out)
	}
	c.want(0, "", "cell_v2 simple_cell_setup") // goes on from there
}

func TestHostsOfCells(t *testing.T) {
	t.Parallel()
	c := newCloud(t, usualConf)
	c.want(0, "", "api_db sync")
	c.want(0, "", "db sync")
	c.grow("cell1", 3)
	cell := strings.TrimSpace(uuids.FindString(c.want(0, "", "cell_v2 create_cell --name east --verbose")))
	out := c.want(0, "Getting computes from cell 'east': "+cell, "cell_v2 discover_hosts --verbose --strict")
	if !strings.Contains(out, "Found 1 cell mappings.\n") || !strings.Contains(out, "Found 2 unmapped computes in cell: "+cell) {
		t.Errorf("discover_hosts --verbose printed\n%s", out)
	}
	if out := c.want(1, "", "cell_v2 discover_hosts --strict"); out != "" {
		t.Errorf("discover_hosts printed %q", out)
	}
	c.want(0, "", "cell_v2 discover_hosts --cell_uuid "+cell)
	c.want(0, "Creating host mapping for service h3", "cell_v2 discover_hosts --by-service --verbose")
	c.want(255, "cell not found", "cell_v2 discover_hosts --cell_uuid x")

	c.want(127, "Must supply a positive value for max-count", "cell_v2 map_instances --max-count 0 --cell_uuid "+cell)
	c.want(127, "Must supply a positive value for max-count", "cell_v2 map_instances --max-count x --cell_uuid "+cell)
	c.want(1, "", "cell_v2 map_instances --max-count 2 --cell_uuid "+cell)
	c.want(0, "", "cell_v2 map_instances --max-count 2 --cell_uuid "+cell)
	c.want(0, "", "cell_v2 map_instances --reset --cell_uuid "+cell)
	c.want(255, "cell not found", "cell_v2 map_instances --cell_uuid x")
	c.want(2, `required flag(s) "cell_uuid" not set`, "cell_v2 map_instances")

	of := " --cell_uuid " + cell
	c.want(1, "Cell with uuid x was not found.", "cell_v2 delete_host --host h1 --cell_uuid x")
	c.want(2, "The host h9 was not found.", "cell_v2 delete_host --host h9"+of)
	c.want(4, "There are instances on the host h1.", "cell_v2 delete_host --host h1"+of)
	c.want(0, "", "cell_v2 delete_host --host h2"+of)
	other := uuids.FindString(c.want(0, "", "cell_v2 create_cell --verbose --transport-url fake:/// --database_connection badger://DIR/other"))
	c.want(3, "The host h1 was not found in the cell "+other, "cell_v2 delete_host --host h1 --cell_uuid "+other)

	c.want(1, "Cell with uuid x was not found.", "cell_v2 delete_cell --cell_uuid x")
	c.want(2, "There are existing hosts mapped to cell with uuid "+cell, "cell_v2 delete_cell"+of)
	c.want(3, "There are existing instances mapped to cell with uuid "+cell, "cell_v2 delete_cell --force"+of)
	c.fill("cell1", func(db *celldb.DB, tx *table.Tx) (err error) {
		for i := range 3 {
			err = errors.Join(err, db.Instances.Put(tx, celldb.Instance{UUID: fmt.Sprintf(serverForm, i), Deleted: time.Unix(9, 0)}))
		}
		return err
	})
	c.want(0, "", "cell_v2 delete_host --host h1"+of)
	c.want(0, "", "cell_v2 delete_host --host h3"+of)
	c.want(4, "There are instance mappings to cell with uuid "+cell, "cell_v2 delete_cell"+of)
	c.want(0, "", "cell_v2 delete_cell --force"+of)
	c.want(0, "", "cell_v2 delete_cell --cell_uuid "+other)
	if out := c.want(0, "", "cell_v2 list_cells"); uuids.MatchString(out) {
		t.Errorf("list_cells printed\n%s", out)
	}
}

func TestUpdateCell(t *testing.T) {
	t.Parallel()
	c := newCloud(t, usualConf)
	c.want(0, "", "api_db sync")
	c.want(0, "", "cell_v2 map_cell0")
	cell := uuids.FindString(c.want(0, "", "cell_v2 create_cell --verbose"))
	other := uuids.FindString(c.want(0, "", "cell_v2 create_cell --verbose --transport-url fake:/// --database_connection badger://DIR/other"))
	of := "cell_v2 update_cell --cell_uuid " + cell
	for _, s := range []struct {
		code       int
		says, args string
	}{
		{1, "Cell with uuid x was not found.", "cell_v2 update_cell --cell_uuid x --name n"},
		{0, "using the value [DEFAULT]/transport_url", of + " --name west --disable"},
		{0, "Cell " + cell + " is already disabled", of + " --disable"},
		{4, "Cell cannot be disabled and enabled at the same time.", of + " --disable --enable"},
		{0, "", of + " --enable"},
		{0, "Cell " + cell + " is already enabled", of + " --enable"},
		{5, "Cell0 cannot be disabled.", "cell_v2 update_cell --disable --transport-url none:/// --database_connection badger://DIR/c0 --cell_uuid 00000000-0000-0000-0000-000000000000"},
		{3, "already exists for another cell with uuid " + cell, "cell_v2 update_cell --disable --cell_uuid " + apidb.Cell0}, // has the URLs of the configuration
		{3, "already exists for another cell with uuid " + other, of + " --disable --enable --transport-url fake:///"},
		{2, "Invalid transport URL", of + " --transport-url amqp://h"},
		{2, "Invalid database connection", of + " --database_connection mysql://h/n"},
		{3, "already exists for another cell with uuid " + other, of + " --transport-url fake:///"},
		{3, "already exists for another cell with uuid " + cell, "cell_v2 update_cell --name n --cell_uuid " + other},
		{0, "", of + " --transport-url rabbit://new/ --database_connection badger://DIR/new --disable"},
		{2, `required flag(s) "cell_uuid" not set`, "cell_v2 update_cell --name n"},
	} {
		c.want(s.code, s.says, s.args)
	}
	want := "| west | " + cell + " | rabbit://new/ | badger://" + c.dir + "/new | True |"
	if out := c.want(0, "", "cell_v2 list_cells"); !strings.Contains(squeeze(out), want) {
		t.Errorf("list_cells printed\n%s without %s", out, want)
	}
}

// TestTemplateThatFitsNoMore: a cell whose URLs are templates that the
// configuration cannot fill in any more is listed as it is, and can be mended.
func TestTemplateThatFitsNoMore(t *testing.T) {
	t.Parallel()
	c := newCloud(t, usualConf)
	c.want(0, "", "api_db sync")
	cell := uuids.FindString(c.want(0, "", "cell_v2 create_cell --verbose --name east --transport-url rabbit://{username}:{password}@east --database_connection badger:///{path}_east"))
	if err := os.WriteFile(c.conf, []byte("[api_database]\nconnection = badger://"+c.dir+"/control\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.want(0, "badger:///{path}_east", "cell_v2 list_cells")
	c.want(255, "cell east ("+cell+"): URL is a template", "cell_v2 discover_hosts")
	of := "cell_v2 update_cell --cell_uuid " + cell
	c.want(0, "", of+" --disable")
	c.want(0, "", of+" --transport-url rabbit://u:p@east --database_connection badger://DIR/east")
	if out := c.want(0, "", "cell_v2 list_cells"); !strings.Contains(squeeze(out), "badger://"+c.dir+"/east | True") {
		t.Errorf("list_cells printed\n%s", out)
	}
	c.want(0, "", "cell_v2 delete_cell --cell_uuid "+cell)
}

// TestCellV2BesideTheOwner: a database on Badger belongs to one process, and
// who comes second is told what to do.
func TestCellV2BesideTheOwner(t *testing.T) {
	t.Parallel()
	c := newCloud(t, usualConf)
	c.want(0, "", "api_db sync")
	f := controlFlags{files: []string{c.conf}}
	o, err := f.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.want(255, "with a shared store (etcd://) several processes can share", "cell_v2 list_cells")
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	c.want(0, "", "cell_v2 list_cells")
}
