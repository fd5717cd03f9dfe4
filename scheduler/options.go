package scheduler

import (
	"math"
	"strings"
	"time"
)

// Options are the options of nova.conf that the scheduler, its filters and
// its weighers read. [ReadOptions] makes them; the zero value is not useful.
//
// Source: nova, conf/scheduler.py, conf/service.py, conf/compute.py, conf/pci.py.
type Options struct {
	// [scheduler]
	MaxAttempts                          int // alternates per instance are one fewer
	MaxPlacementResults                  int
	LimitTenantsToPlacementAggregate     bool
	PlacementAggregateRequiredForTenants bool
	QueryPlacementForImageTypeSupport    bool
	EnableIsolatedAggregateFiltering     bool
	ImageMetadataPrefilter               bool

	// [filter_scheduler]
	HostSubsetSize                         int
	MaxIOOpsPerHost                        int64
	MaxInstancesPerHost                    int64
	EnabledFilters                         []string
	WeightClasses                          []string
	ShuffleBestSameWeighedHosts            bool
	ImagePropertiesDefaultArchitecture     string // "": none
	IsolatedImages                         []string
	IsolatedHosts                          []string
	RestrictIsolatedHostsToIsolatedImages  bool
	AggregateImagePropertiesIsolationNS    string // namespace, "": none
	AggregateImagePropertiesIsolationSep   string
	PCIInPlacement                         bool
	ImagePropsWeightSetting                []Setting
	RAMWeightMultiplier                    float64
	CPUWeightMultiplier                    float64
	DiskWeightMultiplier                   float64
	HypervisorVersionWeightMultiplier      float64
	NumInstancesWeightMultiplier           float64
	IOOpsWeightMultiplier                  float64
	ImagePropsWeightMultiplier             float64
	PCIWeightMultiplier                    float64
	SoftAffinityWeightMultiplier           float64
	SoftAntiAffinityWeightMultiplier       float64
	BuildFailureWeightMultiplier           float64
	CrossCellMoveWeightMultiplier          float64
	MetricsWeightMultiplier                float64   // [metrics] weight_multiplier
	MetricsWeightSetting                   []Setting // [metrics] weight_setting
	MetricsRequired                        bool
	MetricsWeightOfUnavailable             float64
	ServiceDownTime                        time.Duration // [DEFAULT]
	PackingHostNUMACellsAllocationStrategy bool          // [compute]
	PCIAliases                             []string      // [pci] alias: a JSON object each

	// [kilonova], which Nova does not have: for the weighers of package pack
	BestFitWeightMultiplier       float64
	WorstFitWeightMultiplier      float64
	FragmentationWeightMultiplier float64
	HostAgeWeightMultiplier       float64
	LifetimeWeightMultiplier      float64
	RequestMix                    []string // see pack.ParseMix
}

// Setting is one element of an option like name=1.5,other=-1.
type Setting struct {
	Name  string
	Ratio float64
}

// Values is where options come from: configuration files, or a document. Its
// methods return the default when an option is not set, and keep what is
// wrong with a value for themselves.
type Values interface {
	Bool(section, option string, def bool) bool
	Int(section, option string, def, least int) int
	Float(section, option string, def, least float64) float64
	String(section, option, def string) string
	Choice(section, option, def string, allowed ...string) string
	// List returns the elements of a comma separated option, nil if not set.
	List(section, option string) []string
	// Multi returns the values of an option that may be repeated.
	Multi(section, option string) []string
}

const section = "filter_scheduler"

// ReadOptions reads the options, with Nova's defaults for what is not set.
func ReadOptions(v Values) *Options {
	o := &Options{
		MaxAttempts:                          v.Int("scheduler", "max_attempts", 3, 1),
		MaxPlacementResults:                  v.Int("scheduler", "max_placement_results", 1000, 1),
		LimitTenantsToPlacementAggregate:     v.Bool("scheduler", "limit_tenants_to_placement_aggregate", false),
		PlacementAggregateRequiredForTenants: v.Bool("scheduler", "placement_aggregate_required_for_tenants", false),
		QueryPlacementForImageTypeSupport:    v.Bool("scheduler", "query_placement_for_image_type_support", false),
		EnableIsolatedAggregateFiltering:     v.Bool("scheduler", "enable_isolated_aggregate_filtering", false),
		ImageMetadataPrefilter:               v.Bool("scheduler", "image_metadata_prefilter", false),

		HostSubsetSize:                         v.Int(section, "host_subset_size", 1, 1),
		MaxIOOpsPerHost:                        int64(v.Int(section, "max_io_ops_per_host", 8, 0)),
		MaxInstancesPerHost:                    int64(v.Int(section, "max_instances_per_host", 50, 1)),
		EnabledFilters:                         v.List(section, "enabled_filters"),
		WeightClasses:                          v.List(section, "weight_classes"),
		ShuffleBestSameWeighedHosts:            v.Bool(section, "shuffle_best_same_weighed_hosts", false),
		ImagePropertiesDefaultArchitecture:     v.Choice(section, "image_properties_default_architecture", "", architectures...),
		IsolatedImages:                         v.List(section, "isolated_images"),
		IsolatedHosts:                          v.List(section, "isolated_hosts"),
		RestrictIsolatedHostsToIsolatedImages:  v.Bool(section, "restrict_isolated_hosts_to_isolated_images", true),
		AggregateImagePropertiesIsolationNS:    v.String(section, "aggregate_image_properties_isolation_namespace", ""),
		AggregateImagePropertiesIsolationSep:   v.String(section, "aggregate_image_properties_isolation_separator", "."),
		PCIInPlacement:                         v.Bool(section, "pci_in_placement", false),
		ImagePropsWeightSetting:                ParseSettings(v.List(section, "image_props_weight_setting")),
		MetricsWeightSetting:                   ParseSettings(v.List("metrics", "weight_setting")),
		MetricsRequired:                        v.Bool("metrics", "required", true),
		ServiceDownTime:                        serviceDownTime(v),
		PackingHostNUMACellsAllocationStrategy: v.Bool("compute", "packing_host_numa_cells_allocation_strategy", false),
		PCIAliases:                             v.Multi("pci", "alias"),
		RequestMix:                             v.List("kilonova", "request_mix"),
	}
	if o.EnabledFilters == nil {
		o.EnabledFilters = []string{
			"ComputeFilter", "ComputeCapabilitiesFilter", "ImagePropertiesFilter",
			"ServerGroupAntiAffinityFilter", "ServerGroupAffinityFilter",
		}
	}
	if o.WeightClasses == nil {
		o.WeightClasses = []string{"nova.scheduler.weights.all_weighers"}
	}
	o.readMultipliers(v)
	return o
}

// serviceDownTime is at least the interval of reports; otherwise it is two and
// a half of them.
//
// Source: nova, servicegroup/api.py, API.__init__.
func serviceDownTime(v Values) time.Duration {
	down, report := v.Int("DEFAULT", "service_down_time", 60, 0), v.Int("DEFAULT", "report_interval", 10, 0)
	if down <= report {
		down = report * 5 / 2
	}
	return time.Duration(down) * time.Second
}

func (o *Options) readMultipliers(v Values) {
	free := math.Inf(-1)
	for _, m := range []struct {
		to         *float64
		name       string
		def, least float64
	}{
		{&o.RAMWeightMultiplier, "ram_weight_multiplier", 1, free},
		{&o.CPUWeightMultiplier, "cpu_weight_multiplier", 1, free},
		{&o.DiskWeightMultiplier, "disk_weight_multiplier", 1, free},
		{&o.HypervisorVersionWeightMultiplier, "hypervisor_version_weight_multiplier", 1, free},
		{&o.NumInstancesWeightMultiplier, "num_instances_weight_multiplier", 0, free},
		{&o.IOOpsWeightMultiplier, "io_ops_weight_multiplier", -1, free},
		{&o.ImagePropsWeightMultiplier, "image_props_weight_multiplier", 0, free},
		{&o.PCIWeightMultiplier, "pci_weight_multiplier", 1, 0},
		{&o.SoftAffinityWeightMultiplier, "soft_affinity_weight_multiplier", 1, 0},
		{&o.SoftAntiAffinityWeightMultiplier, "soft_anti_affinity_weight_multiplier", 1, 0},
		{&o.BuildFailureWeightMultiplier, "build_failure_weight_multiplier", 1000000, free},
		{&o.CrossCellMoveWeightMultiplier, "cross_cell_move_weight_multiplier", 1000000, free},
	} {
		*m.to = v.Float(section, m.name, m.def, m.least)
	}
	for _, m := range []struct {
		to   *float64
		name string
	}{
		{&o.BestFitWeightMultiplier, "best_fit_weight_multiplier"},
		{&o.WorstFitWeightMultiplier, "worst_fit_weight_multiplier"},
		{&o.FragmentationWeightMultiplier, "fragmentation_weight_multiplier"},
		{&o.HostAgeWeightMultiplier, "host_age_weight_multiplier"},
		{&o.LifetimeWeightMultiplier, "lifetime_weight_multiplier"},
	} {
		*m.to = v.Float("kilonova", m.name, 1, free)
	}
	o.MetricsWeightMultiplier = v.Float("metrics", "weight_multiplier", 1, free)
	o.MetricsWeightOfUnavailable = v.Float("metrics", "weight_of_unavailable", -10000, free)
}

// ParseSettings reads elements of the form name=number. Elements without a
// name or a number are left out, as Nova leaves them out.
//
// Source: nova, scheduler/utils.py, parse_options.
func ParseSettings(elements []string) []Setting {
	var list []Setting
	for _, e := range elements {
		name, number, _ := strings.Cut(e, "=")
		if ratio, ok := ParseFloat(number); ok && name != "" {
			list = append(list, Setting{name, ratio})
		}
	}
	return list
}

// architectures are those that Nova knows.
//
// Source: nova, virt/arch.py, ALL.
var architectures = strings.Fields("alpha armv6 armv7l armv7b aarch64 cris i686 ia64 lm32 m68k microblaze " +
	"microblazeel mips mipsel mips64 mips64el openrisc parisc parisc64 ppc ppcle ppc64 ppc64le ppcemb s390 s390x " +
	"sh4 sh4eb sparc sparc64 unicore32 x86_64 xtensa xtensaeb")
