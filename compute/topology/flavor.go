package topology

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// maxVCPUs is the most CPUs of a flavor whose topology is looked at.
const maxVCPUs = 1 << 14

// wishes are what a flavor and an image say of topology, apart from numbers of
// cells and what is on each.
type wishes struct {
	vcpus  int
	memory int64
	extra  map[string]string
	image  map[string]string

	cpuPolicy, threadPolicy, emulator string
	dedicated                         []int
}

// either returns what the flavor and what the image say of a key: hw:key and
// hw_key. "" is nothing, as in Nova's conditions.
func (w *wishes) either(key string) (flavor, image string) {
	return w.extra["hw:"+key], w.image["hw_"+key]
}

// Instance returns what an instance of a flavor and an image needs. image may
// be nil. It returns a [*FieldError] for what Nova's API refuses; conditions of
// memory encryption are not looked at.
//
// Source: nova, virt/hardware.py, numa_get_constraints and
// get_pci_numa_policy_constraint; pci/request.py, get_pci_requests_from_flavor.
func (a Aliases) Instance(flavor *scheduler.Flavor, image *scheduler.Image) (*Instance, error) {
	w := wishes{memory: flavor.MemoryMiB, extra: flavor.ExtraSpecs}
	if image != nil {
		w.image = image.Properties
	}
	if flavor.VCPUs < 0 || flavor.VCPUs > maxVCPUs {
		return nil, &FieldError{"flavor.vcpus", flavor.VCPUs, fmt.Sprintf("0 to %d", maxVCPUs)}
	}
	if flavor.MemoryMiB < 0 || flavor.MemoryMiB > maxMiB {
		return nil, &FieldError{"flavor.memory_mb", flavor.MemoryMiB, fmt.Sprintf("0 to %d", int64(maxMiB))}
	}
	w.vcpus = int(flavor.VCPUs)
	i := &Instance{threads: w.wantsThreads()}
	if err := w.readPolicies(); err != nil {
		return nil, err
	}
	if err := w.readCells(i); err != nil {
		return nil, err
	}
	policy, err := w.agreed("pci_numa_affinity_policy", policies)
	if err != nil {
		return nil, err
	}
	if text, has := w.extra[aliasSpec]; has {
		i.Requests, err = a.requests(text, policy)
	}
	return i, err
}

// wantsThreads reports whether the filter asks for a host with threads.
//
// Source: nova, scheduler/filters/numa_topology_filter.py, _satisfies_cpu_policy.
func (w *wishes) wantsThreads() bool {
	cpu, imageCPU := w.either("cpu_policy")
	threads, imageThreads := w.either("cpu_thread_policy")
	return (cpu == CPUDedicated || imageCPU == CPUDedicated) && (threads == ThreadsRequire || imageThreads == ThreadsRequire)
}

func known(field, value string, allowed []string) error {
	if value != "" && !slices.Contains(allowed, value) {
		return &FieldError{field, value, fmt.Sprint(allowed)}
	}
	return nil
}

// agreed returns what flavor or image say; both may only say the same.
func (w *wishes) agreed(key string, allowed []string) (string, error) {
	flavor, image := w.either(key)
	if flavor != "" && image != "" && flavor != image {
		return "", &FieldError{"hw_" + key, image, "what the flavor says: " + flavor}
	}
	value := cmp.Or(flavor, image)
	return value, known("hw:"+key, value, allowed)
}

// readPolicies finds out which CPUs are dedicated, and how.
func (w *wishes) readPolicies() error {
	var err error
	if w.cpuPolicy, err = w.readCPUPolicy(); err != nil {
		return err
	}
	if w.threadPolicy, err = w.readThreadPolicy(); err != nil {
		return err
	}
	w.emulator = w.extra["hw:emulator_threads_policy"]
	if err = known("hw:emulator_threads_policy", w.emulator, []string{EmulatorShare, EmulatorIsolate}); err != nil {
		return err
	}
	realtime, err := w.realtimeCPUs()
	if err != nil {
		return err
	}
	if w.dedicated, err = w.dedicatedCPUs(); err != nil {
		return err
	}
	if err = w.readResources(); err != nil {
		return err
	}
	if err = w.readHyperthreading(); err != nil {
		return err
	}
	return w.checkPolicies(realtime)
}

// checkPolicies refuses what does not go together, and settles w.dedicated.
func (w *wishes) checkPolicies(realtime []int) error {
	const mask = "hw:cpu_dedicated_mask"
	switch w.cpuPolicy {
	case CPUShared, "":
		switch {
		case w.threadPolicy != "":
			return &FieldError{"hw:cpu_thread_policy", w.threadPolicy, "nothing with shared CPUs"}
		case w.emulator == EmulatorIsolate:
			return &FieldError{"hw:emulator_threads_policy", w.emulator, "share with shared CPUs"}
		case w.dedicated != nil:
			return &FieldError{mask, w.extra[mask], "nothing without hw:cpu_policy=mixed"}
		case realtime != nil:
			return &FieldError{"hw:cpu_realtime", w.extra["hw:cpu_realtime"], "no with shared CPUs"}
		}
	case CPUDedicated:
		if w.dedicated != nil {
			return &FieldError{mask, w.extra[mask], "nothing without hw:cpu_policy=mixed"}
		}
		w.dedicated = upTo(w.vcpus)
	default:
		if (realtime == nil) == (w.dedicated == nil) {
			return &FieldError{mask, w.extra[mask], "either this or hw:cpu_realtime_mask with hw:cpu_policy=mixed"}
		}
		if w.dedicated == nil {
			w.dedicated = realtime
		}
	}
	return nil
}

func (w *wishes) readCPUPolicy() (string, error) {
	flavor, image := w.either("cpu_policy")
	all := []string{CPUDedicated, CPUShared, CPUMixed}
	if err := known("hw:cpu_policy", flavor, all); err != nil {
		return "", err
	}
	if err := known("hw_cpu_policy", image, all); err != nil {
		return "", err
	}
	if flavor == CPUMixed && image == CPUDedicated || flavor == CPUShared && (image == CPUMixed || image == CPUDedicated) {
		return "", &FieldError{"hw_cpu_policy", image, "what the flavor says: " + flavor}
	}
	return cmp.Or(flavor, image), nil
}

func (w *wishes) readThreadPolicy() (string, error) {
	flavor, image := w.either("cpu_thread_policy")
	all := []string{ThreadsPrefer, ThreadsIsolate, ThreadsRequire}
	if text, has := w.extra["hw:cpu_thread_policy"]; has && !slices.Contains(all, text) {
		return "", &FieldError{"hw:cpu_thread_policy", text, fmt.Sprint(all)}
	}
	if err := known("hw_cpu_thread_policy", image, all); err != nil {
		return "", err
	}
	if flavor != "" && flavor != ThreadsPrefer && image != "" && image != flavor {
		return "", &FieldError{"hw_cpu_thread_policy", image, "what the flavor says: " + flavor}
	}
	return cmp.Or(flavor, image), nil
}

// mask returns the CPUs of a mask, which may begin with what it leaves out.
func (w *wishes) mask(field, text string) ([]int, error) {
	if strings.HasPrefix(pyvalue.Strip(text), "^") {
		text = fmt.Sprintf("0-%d,%s", w.vcpus-1, text)
	}
	cpus, err := parseCPUs(field, text)
	if err == nil && len(without(cpus, upTo(w.vcpus))) > 0 {
		err = &FieldError{field, text, fmt.Sprintf("CPUs of the flavor, from 0 to %d", w.vcpus-1)}
	}
	return cpus, err
}

// dedicatedCPUs returns nil if there is no mask.
func (w *wishes) dedicatedCPUs() ([]int, error) {
	const field = "hw:cpu_dedicated_mask"
	text := w.extra[field]
	if text == "" {
		return nil, nil
	}
	cpus, err := w.mask(field, text)
	if err == nil && (len(cpus) == 0 || len(cpus) == w.vcpus) {
		err = &FieldError{field, text, "some of the CPUs, not all and not none"}
	}
	return cpus, err
}

// realtimeCPUs returns nil if no CPU is for realtime.
//
// Source: nova, virt/hardware.py, get_realtime_cpu_constraint.
func (w *wishes) realtimeCPUs() ([]int, error) {
	if !pyvalue.Bool(w.extra["hw:cpu_realtime"]) {
		return nil, nil
	}
	flavor, image := w.either("cpu_realtime_mask")
	text := cmp.Or(image, flavor)
	if text == "" {
		text = fmt.Sprintf("0-%d", w.vcpus-1)
	}
	cpus, err := w.mask("hw:cpu_realtime_mask", text)
	if err == nil && (len(cpus) == 0 || len(cpus) == w.vcpus && w.emulator == "") {
		err = &FieldError{"hw:cpu_realtime_mask", text, "some of the CPUs, or all with hw:emulator_threads_policy"}
	}
	return cpus, err
}

var (
	vcpuSpec  = regexp.MustCompile(`^resources([1-9][0-9]*)?:VCPU`)
	pcpuSpec  = regexp.MustCompile(`^resources([1-9][0-9]*)?:PCPU`)
	traitSpec = regexp.MustCompile(`^trait([1-9][0-9]*)?:HW_CPU_HYPERTHREADING`)
)

// readResources takes resources:VCPU and resources:PCPU for CPU policies.
func (w *wishes) readResources() error {
	var vcpus, pcpus int64
	for key, text := range w.extra {
		n, ok := pyvalue.ParseInt(text)
		switch {
		case !ok:
		case vcpuSpec.MatchString(key):
			vcpus += n
		case pcpuSpec.MatchString(key):
			pcpus += n
		}
	}
	needed := int64(w.vcpus)
	if w.emulator == EmulatorIsolate {
		needed++
	}
	switch {
	case vcpus == 0 && pcpus == 0:
	case w.cpuPolicy != "":
		return &FieldError{"hw:cpu_policy", w.cpuPolicy, "nothing beside resources:VCPU and resources:PCPU"}
	case vcpus != 0 && pcpus != 0:
		return &FieldError{"resources:PCPU", pcpus, "nothing beside resources:VCPU"}
	case vcpus != 0:
		w.cpuPolicy = CPUShared
	case pcpus != needed:
		return &FieldError{"resources:PCPU", pcpus, fmt.Sprintf("the CPUs of the flavor, one more for isolated emulator threads: %d", needed)}
	default:
		w.cpuPolicy = CPUDedicated
	}
	return nil
}

// readHyperthreading takes the trait HW_CPU_HYPERTHREADING for thread policies.
// Of several, Nova takes that which the flavor got first; here it is the one
// with the lowest number.
func (w *wishes) readHyperthreading() error {
	keys := slices.SortedFunc(maps.Keys(w.extra), func(a, b string) int {
		return cmp.Or(len(a)-len(b), cmp.Compare(a, b))
	})
	at := slices.IndexFunc(keys, traitSpec.MatchString)
	trait := ""
	if at >= 0 {
		trait = w.extra[keys[at]]
	} else if w.image["trait:HW_CPU_HYPERTHREADING"] == "required" ||
		strings.Contains(w.image["traits_required"], "'HW_CPU_HYPERTHREADING'") {
		trait = "required"
	}
	switch {
	case trait == "":
	case w.threadPolicy != "":
		return &FieldError{"hw:cpu_thread_policy", w.threadPolicy, "nothing beside trait:HW_CPU_HYPERTHREADING"}
	case trait == "forbidden":
		w.threadPolicy = ThreadsIsolate
	case trait == "required":
		w.threadPolicy = ThreadsRequire
	}
	return nil
}

var byteSize = regexp.MustCompile(`^([-+]?\d*\.?\d+)(?:([KMGTPEZYRQ])i?)?(b|bit|B)$`)

// pageSize returns the page size in KiB or a wish, and whether one is asked
// for.
//
// Source: nova, virt/hardware.py, _get_numa_pagesize_constraint.
func (w *wishes) pageSize() (size int64, asked bool, err error) {
	flavor, image := w.either("mem_page_size")
	if flavor == "" {
		if image != "" {
			err = &FieldError{"hw_mem_page_size", image, "nothing unless the flavor has hw:mem_page_size"}
		}
		return 0, false, err
	}
	size, asked, err = parsePageSize("hw:mem_page_size", flavor)
	if err != nil || image == "" {
		return size, asked, err
	}
	if size != PagesAny && size != PagesLarge {
		return 0, false, &FieldError{"hw_mem_page_size", image, "nothing when the flavor has a size"}
	}
	return parsePageSize("hw_mem_page_size", image)
}

func parsePageSize(field, text string) (size int64, asked bool, err error) {
	switch text {
	case "any":
		return PagesAny, true, nil
	case "large":
		return PagesLarge, true, nil
	case "small":
		return PagesSmall, true, nil
	}
	bad := &FieldError{field, text, "small, large, any, KiB, or a size such as 2MB or 1GB"}
	if strings.Trim(text, "0123456789") == "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, false, bad
		}
		return n, n != 0, nil
	}
	m := byteSize.FindStringSubmatch(text)
	if m == nil {
		return 0, false, bad
	}
	bytes, err := strconv.ParseFloat(m[1], 64)
	if m[3] != "B" {
		const bits = 8
		bytes /= bits
	}
	if m[2] != "" {
		bytes *= math.Pow(1024, float64(1+strings.Index("KMGTPEZYRQ", m[2])))
	}
	if bytes = math.Ceil(bytes); err != nil || math.Abs(bytes) > maxMiB*(1<<20) {
		return 0, false, bad
	}
	return int64(bytes / 1024), bytes != 0, nil
}
