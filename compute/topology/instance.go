package topology

// The page sizes that are not sizes but wishes.
const (
	PagesSmall = -1 // the smallest size of the cell
	PagesLarge = -2 // any but the smallest
	PagesAny   = -3
)

// The CPU policies; "" is like shared.
const (
	CPUShared    = "shared"
	CPUDedicated = "dedicated"
	CPUMixed     = "mixed"
)

// The thread policies of dedicated CPUs; "" is like prefer.
const (
	ThreadsPrefer  = "prefer"
	ThreadsIsolate = "isolate"
	ThreadsRequire = "require"
)

// The policies of emulator threads; "" is neither.
const (
	EmulatorShare   = "share"
	EmulatorIsolate = "isolate"
)

// Instance is what an instance needs: before it is placed from any host, and
// afterwards where it is. [Aliases.Instance] makes it.
//
// Source: nova, objects/instance_numa.py, InstanceNUMATopology.
type Instance struct {
	Cells           []InstanceCell // nil: no NUMA topology
	EmulatorThreads string
	Requests        []Request // for PCI devices

	threads bool // only hosts with threads will do
}

// InstanceCell is a NUMA cell of an instance.
//
// Source: nova, objects/instance_numa.py, InstanceNUMACell.
type InstanceCell struct {
	ID           int   // its number; once placed the ID of the host's cell
	CPUs         []int // floating CPUs, ascending
	PCPUs        []int // pinned CPUs, ascending
	MemoryMiB    int64
	PageSizeKiB  int64 // 0: none asked for; negative: a wish; once placed a size
	CPUPolicy    string
	ThreadPolicy string

	Pins     []Pin // once placed
	Reserved []int // host CPUs for emulator threads, once placed
}

// Pin is an instance's CPU and the host's CPU that it has for itself.
type Pin struct{ CPU, PCPU int }

// pins reports whether CPUs of the cell are pinned.
func (c *InstanceCell) pins() bool { return c.CPUPolicy == CPUDedicated || c.CPUPolicy == CPUMixed }

// floats reports whether CPUs of the cell float.
func (c *InstanceCell) floats() bool { return c.CPUPolicy != CPUDedicated }
