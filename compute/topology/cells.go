package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
)

// maxInstanceCells is how many cells a flavor or an image may describe.
//
// Source: nova, objects/image_meta.py, ImageMetaProps.NUMA_NODES_MAX.
const maxInstanceCells = 128

// readCells sets the cells of i, if there is a reason for a NUMA topology: a
// number of cells, a page size, persistent memory or dedicated CPUs.
func (w *wishes) readCells(i *Instance) error {
	nodes, err := w.nodes()
	if err != nil {
		return err
	}
	size, asked, err := w.pageSize()
	if err != nil {
		return err
	}
	if err := w.checkLocked(); err != nil {
		return err
	}
	pinned := w.cpuPolicy == CPUDedicated || w.cpuPolicy == CPUMixed
	if nodes == 0 && !asked && !w.wantsPersistentMemory() && !pinned {
		return nil
	}
	if i.Cells, err = w.cells(max(nodes, 1)); err != nil {
		return err
	}
	for at := range i.Cells {
		c := &i.Cells[at]
		c.PCPUs, c.CPUs = both(c.CPUs, w.dedicated), without(c.CPUs, w.dedicated)
		c.PageSizeKiB, c.CPUPolicy, c.ThreadPolicy = size, w.cpuPolicy, w.threadPolicy
	}
	i.EmulatorThreads = w.emulator
	return nil
}

// nodes returns the number of cells, 0 if none is given.
func (w *wishes) nodes() (int, error) {
	flavor, image := w.either("numa_nodes")
	if flavor != "" && image != "" {
		return 0, &FieldError{"hw_numa_nodes", image, "nothing when the flavor has hw:numa_nodes"}
	}
	text := flavor + image
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxVCPUs || strconv.Itoa(n) != text {
		return 0, &FieldError{"hw:numa_nodes", text, fmt.Sprintf("1 to %d", maxVCPUs)}
	}
	return n, nil
}

func (w *wishes) wantsPersistentMemory() bool {
	return slices.ContainsFunc(strings.Split(w.extra["hw:pmem"], ","), func(label string) bool {
		return pyvalue.Strip(label) != ""
	})
}

// checkLocked refuses locked memory without a page size.
//
// Source: nova, virt/hardware.py, get_locked_memory_constraint.
func (w *wishes) checkLocked() error {
	flavor, inFlavor := w.extra["hw:locked_memory"]
	image, inImage := w.image["hw_locked_memory"]
	locked := inFlavor && pyvalue.Bool(flavor) || !inFlavor && pyvalue.Bool(image)
	if inFlavor && inImage && pyvalue.Bool(image) != locked {
		return &FieldError{"hw_locked_memory", image, "what the flavor says: " + flavor}
	}
	if a, b := w.either("mem_page_size"); locked && a == "" && b == "" {
		return &FieldError{"hw:locked_memory", flavor + image, "no without hw:mem_page_size"}
	}
	return nil
}

// cells returns as many cells with memory and CPUs, all of them in CPUs: those
// that flavor or image describe, or equal ones.
func (w *wishes) cells(nodes int) ([]InstanceCell, error) {
	cpus, err := w.described("numa_cpus")
	if err != nil {
		return nil, err
	}
	memory, err := w.described("numa_mem")
	if err != nil {
		return nil, err
	}
	if cpus == nil && memory == nil {
		return w.equalCells(nodes)
	}
	if len(cpus) != nodes || len(memory) != nodes {
		return nil, &FieldError{
			"hw:numa_nodes", nodes,
			fmt.Sprintf("the number of hw:numa_cpus.N, %d, and of hw:numa_mem.N, %d", len(cpus), len(memory)),
		}
	}
	return w.describedCells(cpus, memory)
}

// described returns the values of key.0, key.1 and so on, of the flavor or of
// the image, which may have them as one list; nil if there are none.
func (w *wishes) described(key string) ([]string, error) {
	list := func(from map[string]string, prefix string) []string {
		var values []string
		for n := range maxInstanceCells {
			value, has := from[prefix+strconv.Itoa(n)]
			if !has {
				break
			}
			values = append(values, value)
		}
		return values
	}
	flavor, image := list(w.extra, "hw:"+key+"."), list(w.image, "hw_"+key+".")
	if text, has := w.image["hw_"+key]; has {
		image = strings.Split(strings.Trim(text, "[]"), ", ")
	}
	if flavor == nil {
		return image, nil
	}
	if image != nil {
		return nil, &FieldError{"hw_" + key + ".0", image[0], "nothing when the flavor has hw:" + key + ".N"}
	}
	return flavor, nil
}

func (w *wishes) equalCells(nodes int) ([]InstanceCell, error) {
	if w.vcpus%nodes > 0 || w.memory%int64(nodes) > 0 {
		return nil, &FieldError{"hw:numa_nodes", nodes, fmt.Sprintf("a divisor of %d CPUs and %d MiB", w.vcpus, w.memory)}
	}
	cells := make([]InstanceCell, nodes)
	all, each := upTo(w.vcpus), w.vcpus/nodes
	for n := range cells {
		cells[n] = InstanceCell{ID: n, CPUs: all[n*each : (n+1)*each], MemoryMiB: w.memory / int64(nodes)}
	}
	return cells, nil
}

func (w *wishes) describedCells(cpuTexts, memoryTexts []string) ([]InstanceCell, error) {
	cells := make([]InstanceCell, len(cpuTexts))
	seen, memory := make([]bool, w.vcpus), int64(0)
	for n := range cells {
		field := "hw:numa_cpus." + strconv.Itoa(n)
		cpus, err := parseCPUs(field, cpuTexts[n])
		if err != nil {
			return nil, err
		}
		for _, cpu := range cpus {
			if cpu >= w.vcpus || seen[cpu] {
				return nil, &FieldError{field, cpu, fmt.Sprintf("CPUs from 0 to %d, each on one cell", w.vcpus-1)}
			}
			seen[cpu] = true
		}
		mib, ok := pyvalue.ParseInt(memoryTexts[n])
		if !ok || mib < 0 || mib > maxMiB {
			return nil, &FieldError{"hw:numa_mem." + strconv.Itoa(n), memoryTexts[n], "MiB"}
		}
		memory += mib
		cells[n] = InstanceCell{ID: n, CPUs: cpus, MemoryMiB: mib}
	}
	if at := slices.Index(seen, false); at >= 0 {
		return nil, &FieldError{"hw:numa_cpus", fmt.Sprint(cpuTexts), fmt.Sprintf("CPUs from 0 to %d, each on one cell; %d is on none", w.vcpus-1, at)}
	}
	if memory != w.memory {
		return nil, &FieldError{"hw:numa_mem", fmt.Sprint(memoryTexts), fmt.Sprintf("a sum of %d MiB", w.memory)}
	}
	return cells, nil
}
