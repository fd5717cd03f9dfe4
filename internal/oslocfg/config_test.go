package oslocfg

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGetters(t *testing.T) {
	t.Parallel()
	c, err := Read(file(t, "a = 1\n[s]\n# comment\nname: \"x y\"\nflag = Yes\nn = 5\nlist = a, b,\n  c\nlist = d\nkind = k\nextra = 1\nmax-age = 3\n"),
		file(t, "[s]\nn = 6\n[other]\nz = 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.String("DEFAULT", "a", ""); got != "1" {
		t.Errorf("a is %q", got)
	}
	if got := c.String("s", "name", ""); got != "x y" {
		t.Errorf("name is %q", got)
	}
	if !c.Bool("s", "flag", false) || c.Int("s", "n", 0, 0) != 6 || c.Int("s", "max_age", 0, 0) != 3 || c.Choice("s", "kind", "", "j", "k") != "k" {
		t.Error("flag, n, max_age or kind is wrong")
	}
	if got := c.List("s", "list"); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("list is %q", got)
	}
	if c.String("s", "none", "def") != "def" || !c.Bool("s", "none", true) || c.Int("s", "none", 7, 0) != 7 || c.List("s", "none") != nil || c.Choice("s", "none", "d") != "d" {
		t.Error("a default is wrong")
	}
	if got := c.Unknown("s"); len(got) != 1 || !strings.HasSuffix(got[0], "[s] extra") {
		t.Errorf("unknown: %q", got)
	}
	if c.Ignore("s", "extra"); len(c.Unknown("s")) != 0 || c.Err() != nil {
		t.Error("extra is still unknown, or there is an error")
	}
}

func TestOver(t *testing.T) {
	t.Parallel()
	base, err := Read(file(t, "[s]\na = 1\nb = 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	over, err := FromMap(map[string]any{"s.b": "3", "s.c": []any{"x", "y,z"}})
	if err != nil {
		t.Fatal(err)
	}
	both := over.Over(base)
	if both.String("s", "a", "") != "1" || both.String("s", "b", "") != "3" || !slices.Equal(both.List("s", "c"), []string{"x", "y,z"}) {
		t.Errorf("both say %v", both.entries)
	}
	if base.String("s", "b", "") != "2" || len(over.order) != 2 || len(both.Unknown("s")) != 0 || len(base.Unknown("s")) != 1 {
		t.Error("a part has changed")
	}
}

func TestWrongValues(t *testing.T) {
	t.Parallel()
	c, err := Read(file(t, "[s]\nflag = maybe\nn = x\nm = -2\nkind = z\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !c.Bool("s", "flag", true) || c.Int("s", "n", 3, 0) != 3 || c.Int("s", "m", 4, -1) != 4 || c.Choice("s", "kind", "a", "a", "b") != "a" {
		t.Error("a wrong value is not replaced by its default")
	}
	for _, want := range []string{
		`x.conf:2: [s] flag is "maybe", allowed is: true or false`, `[s] n is "x", allowed is: an integer of 0 or more`,
		`[s] m is "-2", allowed is: an integer of -1 or more`, `[s] kind is "z", allowed is: a, b`,
	} {
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
	for _, text := range []string{"[s\n", "[]\n", "word\n", "= 1\n"} {
		if _, err := Read(file(t, text)); err == nil || !strings.Contains(err.Error(), "x.conf:1: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Read("/no/such/file"); err == nil {
		t.Error("a missing file is read")
	}
}
