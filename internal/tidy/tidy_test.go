package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module    = "github.com/kilonova-cloud/kilonova"
	root      = "../.."
	fileLines = 600
)

// mayImport is the map of the house: a package may import what its row lists
// and nothing else of this module. Every package has a row, so a new folder
// is a decision and not an accident. ARCHITECTURE.md draws the same arrows.
// A row of "*" is a root: it may import everything and nobody may import it.
var mayImport = map[string][]string{
	"store":                     {},
	"store/internal/feed":       {"store"},
	"store/mem":                 {"store", "store/internal/feed"},
	"store/badger":              {"store", "store/internal/feed"},
	"store/etcd":                {"store"},
	"store/copying":             {"store", "store/intent"},
	"store/storetest":           {"store"},
	"store/intent":              {"store"},
	"store/table":               {"store"},
	"placement":                 {"store", "store/intent"},
	"api":                       {},
	"api/jsonschema":            {},
	"api/keystone":              {"api"},
	"api/policy":                {"api"},
	"api/moving":                {"api/placementclient", "placement"},
	"api/placementapi":          {"api", "api/jsonschema", "api/policy", "placement"},
	"api/placementclient":       {"api", "placement"},
	"bench":                     {"bench/trace", "placement", "scheduler", "scheduler/live", "scheduler/pack"},
	"bench/chart":               {"bench", "bench/scale"},
	"bench/scale":               {"bench"},
	"bench/nomad":               {}, // a module of its own
	"bench/trace":               {},
	"cells":                     {"cells/apidb", "cells/celldb", "cells/router", "store/table"},
	"cells/apidb":               {"store", "store/table"},
	"cells/bus":                 {},
	"cells/bus/bustest":         {"cells/bus"},
	"cells/bus/internal/work":   {"cells/bus"},
	"cells/bus/local":           {"cells/bus", "cells/bus/internal/work"},
	"cells/bus/rabbit":          {"cells/bus", "cells/bus/internal/work"},
	"cells/router":              {},
	"cells/celldb":              {"store", "store/table"},
	"cmd/kilonova":              {"*"},
	"compute/topology":          {"internal/pyvalue", "placement", "scheduler"},
	"examples/cells":            {"*"},
	"examples/customfilter":     {"*"},
	"examples/durable":          {"*"},
	"examples/messages":         {"*"},
	"examples/nestedgpu":        {"*"},
	"examples/quickstart":       {"*"},
	"examples/schedulerservice": {"*"},
	"examples/sharedstorage":    {"*"},
	"internal/etcdtest":         {},
	"internal/httpperf":         {},
	"internal/machine":          {"store"},
	"internal/metrics":          {},
	"internal/novajudge":        {},
	"internal/oslocfg":          {},
	"scheduler/pack":            {"scheduler", "scheduler/weigh"},
	"scheduler/drain":           {},
	"internal/perftable":        {"bench", "bench/chart"},
	"internal/pyvalue":          {},
	"internal/sim":              {"cells/bus", "internal/machine", "store"},
	"internal/tidy":             {},
	"internal/twin":             {"placement"},
	"scheduler":                 {},
	"scheduler/document":        {"scheduler", "scheduler/imagemeta"},
	"scheduler/filter":          {"internal/pyvalue", "scheduler", "scheduler/imagemeta"},
	"scheduler/live":            {"placement", "scheduler"},
	"scheduler/imagemeta":       {"internal/pyvalue"},
	"scheduler/query":           {"internal/pyvalue", "placement", "scheduler"},
	"scheduler/weigh":           {"scheduler"},
	"internal/novajudge/soak":   {"internal/novajudge"},
}

func TestImportArrows(t *testing.T) {
	t.Parallel()
	for dir, files := range goFiles(t) {
		allowed, known := mayImport[dir]
		if !known {
			t.Errorf("%s: not in mayImport; decide what it may import", dir)
		}
		for _, f := range files {
			if strings.HasSuffix(f.name, "_test.go") || slices.Contains(allowed, "*") {
				continue
			}
			for _, imp := range f.ast.Imports {
				to, ours := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), module+"/")
				if ours && !slices.Contains(allowed, to) {
					t.Errorf("%s: imports %s; only %v allowed", f.name, to, allowed)
				}
			}
		}
	}
}

func TestPackageDocs(t *testing.T) {
	t.Parallel()
	for dir, files := range goFiles(t) {
		if !slices.ContainsFunc(files, func(f file) bool { return f.ast.Doc != nil }) {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

func TestFileLength(t *testing.T) {
	t.Parallel()
	for _, files := range goFiles(t) {
		for _, f := range files {
			if f.lines > fileLines && !strings.HasSuffix(f.name, "_test.go") && !ast.IsGenerated(f.ast) {
				t.Errorf("%s: %d lines; split it by subject (limit %d)", f.name, f.lines, fileLines)
			}
		}
	}
}

// TestGoroutinesLiveInLoops keeps concurrency in one file per package, so that
// the rest of the package can be read, and simulated, as sequential code.
func TestGoroutinesLiveInLoops(t *testing.T) {
	t.Parallel()
	for dir, files := range goFiles(t) {
		if slices.Contains(mayImport[dir], "*") {
			continue
		}
		for _, f := range files {
			if path.Base(f.name) == "loop.go" || strings.HasSuffix(f.name, "_test.go") {
				continue
			}
			ast.Inspect(f.ast, func(n ast.Node) bool {
				if _, ok := n.(*ast.GoStmt); ok {
					t.Errorf("%s: go statement outside loop.go", f.name)
				}
				return true
			})
		}
	}
}

func TestMapNamesEveryPackage(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	for dir := range goFiles(t) {
		if !strings.Contains(string(doc), "`"+dir+"`") {
			t.Errorf("ARCHITECTURE.md does not name `%s`", dir)
		}
	}
}

type file struct {
	name  string
	ast   *ast.File
	lines int
}

// goFiles returns the parsed Go files of the repository by folder.
func goFiles(t *testing.T) map[string][]file {
	t.Helper()
	dirs := map[string][]file{}
	err := fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (d.Name()[0] == '.' || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(p) != ".go":
			return nil
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, filepath.Join(root, p), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		src, err := os.ReadFile(filepath.Join(root, p))
		dirs[path.Dir(p)] = append(dirs[path.Dir(p)], file{p, tree, strings.Count(string(src), "\n")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}
