package weigh

import (
	"fmt"
	"strings"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Constructor makes a weigher.
type Constructor struct {
	Name string
	New  func(o *scheduler.Options) scheduler.Weigher
}

// all is the option value that stands for every weigher of Nova.
const all = "nova.scheduler.weights.all_weighers"

// Builtin returns all weighers of this package in the order in which their
// scores are added up: by Nova's module, then class.
func Builtin() []Constructor {
	return []Constructor{
		{"ServerGroupSoftAffinityWeigher", newSoftAffinity},
		{"ServerGroupSoftAntiAffinityWeigher", newSoftAntiAffinity},
		{"BuildFailureWeigher", newBuildFailure},
		{"CPUWeigher", newCPU},
		{"CrossCellWeigher", newCrossCell},
		{"DiskWeigher", newDisk},
		{"HypervisorVersionWeigher", newHypervisorVersion},
		{"ImagePropertiesWeigher", newImageProps},
		{"IoOpsWeigher", newIOOps},
		{"MetricsWeigher", newMetrics},
		{"NumInstancesWeigher", newNumInstances},
		{"PCIWeigher", newPCI},
		{"RAMWeigher", newRAM},
	}
}

// Choose makes the weighers that [filter_scheduler] weight_classes names, in
// its order. An element is a class with or without its modules before it, or
// Nova's all_weighers. Weighers of the caller's own, which may be none, are
// known besides the built-in ones. A name that nobody knows is an error.
func Choose(o *scheduler.Options, own ...Constructor) ([]scheduler.Weigher, error) {
	known := map[string]Constructor{}
	for _, c := range append(Builtin(), own...) {
		known[c.Name] = c
	}
	var list []scheduler.Weigher
	for _, name := range o.WeightClasses {
		if name == all {
			for _, c := range Builtin() {
				list = append(list, c.New(o))
			}
			continue
		}
		c, ok := known[name[strings.LastIndexByte(name, '.')+1:]]
		if !ok {
			return nil, fmt.Errorf("[filter_scheduler] weight_classes has %q, which is no weigher", name)
		}
		list = append(list, c.New(o))
	}
	return list, nil
}
