package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// cloud is a control plane of one nova.conf.
type cloud struct {
	t    *testing.T
	dir  string
	conf string
}

// newCloud writes a nova.conf; DIR in it is a folder of the test.
func newCloud(t *testing.T, conf string) *cloud {
	t.Helper()
	dir := t.TempDir()
	c := &cloud{t, dir, filepath.Join(dir, "nova.conf")}
	if err := os.WriteFile(c.conf, []byte(strings.ReplaceAll(conf, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

const usualConf = `
[DEFAULT]
transport_url = rabbit://stack:s3cret@h1:5672/
[api_database]
connection = badger://DIR/control
[database]
connection = badger://DIR/cell1
`

// want runs kilonova manage with the arguments and returns its output, which
// has says somewhere.
func (c *cloud) want(code int, says, args string) string {
	c.t.Helper()
	fields := append([]string{"manage", "--config-file", c.conf}, strings.Fields(strings.ReplaceAll(args, "DIR", c.dir))...)
	got, stdout, stderr := call(c.t, fields...)
	if got != code || !strings.Contains(stdout+stderr, says) {
		c.t.Fatalf("%s: exit %d, want %d and %q\n%s%s", args, got, code, says, stdout, stderr)
	}
	return stdout
}

var uuidForm = regexp.MustCompile(`\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n\z`)

func TestSetUpCells(t *testing.T) {
	t.Parallel()
	c := newCloud(t, usualConf)
	c.want(255, "API database", "cell_v2 list_cells")
	c.want(1, "Could not access cell0", "db sync")
	c.want(0, "None\n", "api_db version")
	c.want(0, "", "api_db sync")
	c.want(0, "1\n", "api_db version")
	c.want(0, "WARNING: cell0 mapping not found - not syncing cell0.\n", "db sync")
	c.want(0, "", "cell_v2 map_cell0")
	c.want(0, "Cell0 is already setup\n", "cell_v2 map_cell0")
	c.want(0, "", "db sync")
	c.want(0, "1\n", "db version")
	c.want(0, "", "db sync --local_cell --contract 1")
	c.want(255, `VERSION is "7", allowed is: 1`, "db sync 7")
	if _, err := os.Stat(c.dir + "/cell1_cell0/cell/LOCK"); err != nil {
		t.Error(err)
	}

	out := c.want(0, "", "cell_v2 create_cell --name east --verbose --transport-url rabbit://u:pw@h2/{path}east --database_connection badger:///{path}_east")
	if !uuidForm.MatchString(out) {
		t.Errorf("create_cell --verbose printed %q", out)
	}
	out = c.want(0, "--transport-url not provided in the command line, using the value [DEFAULT]/transport_url", "cell_v2 create_cell --disabled")
	if !strings.Contains(out, "--database_connection not provided in the command line, using the value [database]/connection") {
		t.Errorf("create_cell printed %q", out)
	}
	c.want(2, "already exists for another cell with uuid ", "cell_v2 create_cell")
	c.want(2, "already exists", "cell_v2 create_cell --transport-url rabbit://other/ --database_connection badger://DIR/cell1_east")

	out = uuids.ReplaceAllString(c.want(0, "", "cell_v2 list_cells"), "UUID....")
	hidden := strings.ReplaceAll(out, c.dir, "")
	for _, line := range []string{
		"| cell0 | UUID.... |             none:/            | badger:///cell1_cell0 |  False   |",
		"|       | UUID.... | rabbit://stack:****@h1:5672/  | badger:///cell1 | True   |",
		"| east  | UUID.... | rabbit://u:****@h2/east | badger:///cell1_east | False |",
	} {
		if !strings.Contains(squeeze(hidden), squeeze(line)) {
			t.Errorf("list_cells printed\n%s\nwithout %s", hidden, line)
		}
	}
	c.want(0, "rabbit://stack:s3cret@h1:5672/", "cell_v2 list_cells --verbose")
}

var (
	uuids  = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	blanks = regexp.MustCompile(` +`)
)

func squeeze(text string) string { return blanks.ReplaceAllString(text, " ") }

func TestControlConfiguration(t *testing.T) {
	t.Parallel()
	mysql := `
[api_database]
connection = mysql+pymysql://nova:s3cret@10.0.0.1/nova_api
[database]
connection = mysql+pymysql://nova:s3cret@10.0.0.1/nova
`
	c := newCloud(t, mysql)
	for _, args := range []string{"api_db sync", "api_db version", "db sync --local_cell", "db version", "cell_v2 list_cells"} {
		code, stdout, stderr := call(t, append([]string{"manage", "--config-file", c.conf}, strings.Fields(args)...)...)
		if code != 255 || !strings.Contains(stderr, `connection is "mysql+pymysql://nova:****@10.0.0.1/nova`) || strings.Contains(stdout+stderr, "s3cret") {
			t.Errorf("%s: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
	c = newCloud(t, mysql+"[kilonova]\napi_database_connection = badger://DIR/a\ndatabase_connection = badger://DIR/b\n")
	c.want(0, "", "api_db sync")
	c.want(0, "", "cell_v2 map_cell0")
	c.want(0, "badger://"+c.dir+"/b_cell0", "cell_v2 list_cells")
	c.want(1, "Must specify --transport-url if [DEFAULT]/transport_url is not set", "cell_v2 create_cell")
	for url, says := range map[string]string{
		"localhost":             "transport URL has no scheme",
		"amqp://h/":             `scheme of the transport URL is "amqp", allowed are: rabbit`,
		"rabbit://h:x":          "Invalid transport URL: host 1 of transport_url: port is not one",
		"{colour}://":           "URL is a template, and the configuration has none",
		"rabbit://h/?no_such=1": `option "no_such" of transport_url is "1"`,
	} {
		c.want(1, says, "cell_v2 create_cell --transport-url "+url)
	}
	c.want(1, "--database_connection is \"mysql://u:****@h/d\", a database of Nova", "cell_v2 create_cell --transport-url fake:/// --database_connection mysql://u:p@h/d")
	c.want(1, `allowed are: badger:///DIR, etcd://`, "cell_v2 create_cell --transport-url fake:/// --database_connection memory://")
	c.want(2, "unknown flag", "cell_v2 list_cells --all")
	c.want(2, "manage cell_v2 needs a subcommand", "cell_v2")

	c = newCloud(t, "")
	c.want(255, "[api_database] connection is not set, allowed are: badger:///DIR", "api_db sync")
}

// TestConfigDir: what is in a folder counts more than what is in a file.
func TestConfigDir(t *testing.T) {
	t.Parallel()
	c := newCloud(t, usualConf)
	more := c.dir + "/more"
	for name, text := range map[string]string{
		"10-api.conf": "[api_database]\nconnection = badger://" + c.dir + "/first\n", "20-api.conf": "[api_database]\nconnection = badger://" + c.dir + "/second\n", "30-api.conf.old": "[",
	} {
		if err := errors.Join(os.MkdirAll(more, 0o700), os.WriteFile(more+"/"+name, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	c.want(0, "", "--config-dir DIR/more api_db sync")
	c.want(0, "", "--config-dir DIR/more cell_v2 map_cell0")
	if _, err := os.Stat(c.dir + "/second/api"); err != nil {
		t.Error(err)
	}
	c.want(0, "badger://"+c.dir+"/cell1_cell0", "cell_v2 --config-dir DIR/more list_cells")
	c.want(255, "read configuration: open "+c.dir+"/none", "cell_v2 --config-dir DIR/none list_cells")
}

func TestPrettyTable(t *testing.T) {
	t.Parallel()
	for want, rows := range map[string][][]string{
		`
+------+------+----------+
| Name | UUID | Disabled |
+------+------+----------+
+------+------+----------+
`: {{"Name", "UUID", "Disabled"}},
		`
+---------+------+----------+
|   Name  | UUID | Disabled |
+---------+------+----------+
|         |  ab  |  False   |
| abcdefg | abc  |   True   |
|   None  |  é   |   Tru    |
+---------+------+----------+
`: {{"Name", "UUID", "Disabled"}, {"", "ab", "False"}, {"abcdefg", "abc", "True"}, {"None", "é", "Tru"}},
	} {
		var b strings.Builder
		if err := prettyTable(&b, rows); err != nil {
			t.Fatal(err)
		}
		if got := "\n" + b.String(); got != want {
			t.Errorf("got %s want %s", got, want)
		}
	}
}
