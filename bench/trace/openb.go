package trace

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"
)

//go:embed openb/*.csv.gz
var openB embed.FS

// Variants returns the names of the OpenB task lists, the original first.
func Variants() []string {
	return []string{"default", "gpuspec33", "multigpu50", "gpushare40", "cpu250"}
}

// OpenBNodes returns the 1,523 nodes of OpenB, of which 1,213 have GPUs.
func OpenBNodes() ([]Node, error) {
	return readOpenB("openb/openb_node_list_all_node.csv.gz", ReadNodes)
}

// OpenBTasks returns a task list of OpenB. The variant is one of [Variants].
func OpenBTasks(variant string) ([]Task, error) {
	if !slices.Contains(Variants(), variant) {
		return nil, fmt.Errorf("variant is %q, allowed are: %s", variant, strings.Join(Variants(), ", "))
	}
	return readOpenB("openb/openb_pod_list_"+variant+".csv.gz", ReadTasks)
}

func readOpenB[T any](name string, read func(string, io.Reader) ([]T, error)) ([]T, error) {
	f, err := openB.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w", err)
	}
	defer func() { _ = f.Close() }() // in memory
	return read(name, f)
}
