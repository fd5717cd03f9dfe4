package trace

import (
	"io"
	"math"
	"slices"
	"strings"
)

// Most GPUs of a node or a task, and milli of one GPU.
const (
	MaxGPUs  = 64
	GPUMilli = 1000
)

// Node is one machine of a GPU cluster.
type Node struct {
	Name      string
	CPUMilli  int64  // at least 1
	MemoryMiB int64  // at least 1
	GPUs      int    // 0 to MaxGPUs
	Model     string // in capitals; "" without GPUs
}

// Task asks for a part of one node.
type Task struct {
	Name      string
	CPUMilli  int64
	MemoryMiB int64
	GPUs      int      // 0 to MaxGPUs
	GPUMilli  int64    // of each GPU, 1 to GPUMilli; 0 without GPUs
	Models    []string // allowed GPU models in capitals, sorted; nil: any
}

// ReadNodes reads nodes in the columns sn, cpu_milli, memory_mib, gpu and
// model; name is the file's name for errors. There is at least one node, and
// names are unique. A node has a model exactly when it has GPUs; its case does
// not matter.
func ReadNodes(name string, r io.Reader) ([]Node, error) {
	t, err := newTable(name, r, []string{"sn", "cpu_milli", "memory_mib", "gpu", "model"}, nil)
	if err != nil {
		return nil, err
	}
	var nodes []Node
	seen := map[string]bool{}
	for t.next() {
		n := Node{
			Name:      t.text("sn"),
			CPUMilli:  t.integer("cpu_milli", 1, math.MaxInt32),
			MemoryMiB: t.integer("memory_mib", 1, math.MaxInt32),
			GPUs:      int(t.integer("gpu", 0, MaxGPUs)),
			Model:     strings.ToUpper(t.text("model")),
		}
		t.require(n.Name != "" && !seen[n.Name], "sn", "a name that no other line has")
		t.require((n.GPUs > 0) == validModel(n.Model) && (n.GPUs > 0 || n.Model == ""), "model",
			"letters, digits and _ with GPUs, empty without")
		seen[n.Name] = true
		nodes = append(nodes, n)
	}
	return nodes, t.finish(len(nodes))
}

// ReadTasks reads tasks in the columns name, cpu_milli, memory_mib, num_gpu,
// gpu_milli and, when there is one, gpu_spec. There is at least one task, and
// every task asks for something.
func ReadTasks(name string, r io.Reader) ([]Task, error) {
	t, err := newTable(name, r,
		[]string{"name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"}, []string{"gpu_spec"})
	if err != nil {
		return nil, err
	}
	var tasks []Task
	for t.next() {
		tasks = append(tasks, t.task())
	}
	return tasks, t.finish(len(tasks))
}

func (t *table) task() Task {
	task := Task{
		Name:      t.text("name"),
		CPUMilli:  t.integer("cpu_milli", 0, math.MaxInt32),
		MemoryMiB: t.integer("memory_mib", 0, math.MaxInt32),
		GPUs:      int(t.integer("num_gpu", 0, MaxGPUs)),
	}
	switch task.GPUs {
	case 0:
		task.GPUMilli = t.integer("gpu_milli", 0, 0)
	case 1:
		task.GPUMilli = t.integer("gpu_milli", 1, GPUMilli)
	default:
		task.GPUMilli = t.integer("gpu_milli", GPUMilli, GPUMilli)
	}
	if spec := strings.ToUpper(t.text("gpu_spec")); spec != "" {
		task.Models = slices.Compact(slices.Sorted(strings.SplitSeq(spec, "|")))
		ok := task.GPUs > 0 && !slices.ContainsFunc(task.Models, func(m string) bool { return !validModel(m) })
		t.require(ok, "gpu_spec", "GPU models joined by |, and empty without GPUs")
	}
	t.require(task.CPUMilli+task.MemoryMiB+task.GPUMilli > 0, "cpu_milli", "at least one resource above 0 in a line")
	return task
}

// validModel reports whether m can be part of the name of a custom trait.
func validModel(m string) bool {
	if m == "" || len(m) > 64 {
		return false
	}
	for _, r := range m {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' {
			return false
		}
	}
	return true
}
