package query

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// ask makes a query of a flavor of 4 vCPUs, 1024 MiB and 10 GiB, and returns
// its parameters as one text.
func ask(t *testing.T, o scheduler.Options, v *View, r *Request) string {
	t.Helper()
	f := &r.Spec.Flavor
	f.VCPUs, f.MemoryMiB, f.RootGiB = 4, 1024, 10
	q, err := New(&o).Build(v, r)
	if err != nil {
		return err.Error()
	}
	var words []string
	for _, p := range parameters(&q.Candidates) {
		words = append(words, p[0]+"="+p[1])
	}
	return strings.Join(words, " ")
}

const plain = "resources=DISK_GB:10,MEMORY_MB:1024,VCPU:4 root_required=!COMPUTE_STATUS_DISABLED"

func TestFlavor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		extraSpecs map[string]string
		image      map[string]string
		want       string
	}{
		{nil, nil, plain},
		{
			map[string]string{"resources:VCPU": "0", "resources:MEMORY_MB": "0", "resources:DISK_GB": "0", "resources:CUSTOM_BAREMETAL": "1"},
			nil,
			"resources=CUSTOM_BAREMETAL:1 root_required=!COMPUTE_STATUS_DISABLED",
		},
		{
			map[string]string{"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0", "hw:emulator_threads_policy": "isolate"},
			map[string]string{"hw_cpu_thread_policy": "isolate"},
			"required=!HW_CPU_HYPERTHREADING resources=DISK_GB:10,MEMORY_MB:1024,PCPU:4,VCPU:1 root_required=!COMPUTE_STATUS_DISABLED",
		},
		{
			nil,
			map[string]string{"traits_required": "['HW_CPU_X86_VMX', 'CUSTOM_X']", "trait:CUSTOM_Y": "required", "trait:CUSTOM_Z": "forbidden"},
			"required=CUSTOM_X,CUSTOM_Y,HW_CPU_X86_VMX " + plain,
		},
		{
			map[string]string{"resources1:VGPU": "1", "resources2:VGPU": "1"},
			nil,
			"extra spec group_policy is missing, and the flavor has 2 groups: no valid host",
		},
		{
			map[string]string{"resources1:VGPU": "1", "resources2:VGPU": "1", "group_policy": "isolate"},
			nil,
			"group_policy=isolate resources=DISK_GB:10,MEMORY_MB:1024,VCPU:4 resources1=VGPU:1 resources2=VGPU:1 root_required=!COMPUTE_STATUS_DISABLED",
		},
		{
			map[string]string{"hw:cpu_policy": "pinned"},
			nil,
			`extra spec or image property hw:cpu_policy is "pinned", allowed are: shared, dedicated, mixed: cannot be evaluated`,
		},
		{
			map[string]string{"hw:mem_encryption": "yes"},
			map[string]string{"hw_mem_encryption": "False"},
			`extra spec hw:mem_encryption is "yes", and image property hw_mem_encryption is "False": cannot be evaluated`,
		},
		{
			map[string]string{"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0-3"},
			nil,
			`extra spec hw:cpu_dedicated_mask is "0-3", allowed are: some CPUs and not all: cannot be evaluated`,
		},
	} {
		r := &Request{Spec: &scheduler.RequestSpec{Flavor: scheduler.Flavor{ExtraSpecs: c.extraSpecs}, Image: &scheduler.Image{Properties: c.image}}}
		if got := ask(t, scheduler.Options{}, &View{}, r); got != c.want {
			t.Errorf("%v, %v:\n%s\nwant\n%s", c.extraSpecs, c.image, got, c.want)
		}
	}
}

func TestPrefilters(t *testing.T) {
	t.Parallel()
	a, b := "0000000a-0000-4000-8000-000000000000", "0000000b-0000-4000-8000-000000000000"
	v := &View{
		Aggregates: []scheduler.Aggregate{
			{UUID: a, Metadata: map[string]string{"filter_tenant_id2": "p", "availability_zone": "az"}},
			{UUID: b, Metadata: map[string]string{"other": "p", "trait:CUSTOM_LICENSED": "required"}},
		},
	}
	tenants := scheduler.Options{LimitTenantsToPlacementAggregate: true, PlacementAggregateRequiredForTenants: true}
	networks := [][]placement.UUID{{placement.MustUUID(b), placement.MustUUID(a)}, {placement.MustUUID(b)}}
	for _, c := range []struct {
		name string
		o    scheduler.Options
		r    Request
		spec scheduler.RequestSpec
		want string
	}{
		{"tenant", tenants, Request{}, scheduler.RequestSpec{ProjectID: "p"}, "member_of=in:" + a + " " + plain},
		{"tenant without", tenants, Request{}, scheduler.RequestSpec{ProjectID: "q"}, "require_tenant_aggregate: no aggregate is for project q: no valid host"},
		{"zone", scheduler.Options{}, Request{}, scheduler.RequestSpec{AvailabilityZone: "az"}, "member_of=in:" + a + " " + plain},
		{"unknown zone", scheduler.Options{}, Request{}, scheduler.RequestSpec{AvailabilityZone: "AZ"}, plain},
		{
			"isolated",
			scheduler.Options{EnableIsolatedAggregateFiltering: true},
			Request{},
			scheduler.RequestSpec{},
			"member_of=!in:" + b + " " + plain,
		},
		{
			"not isolated",
			scheduler.Options{EnableIsolatedAggregateFiltering: true},
			Request{},
			scheduler.RequestSpec{Image: &scheduler.Image{Properties: map[string]string{"trait:CUSTOM_LICENSED": "required"}}},
			"required=CUSTOM_LICENSED " + plain,
		},
		{
			"image type",
			scheduler.Options{QueryPlacementForImageTypeSupport: true},
			Request{},
			scheduler.RequestSpec{Image: &scheduler.Image{DiskFormat: "iso"}},
			strings.Replace(plain, "!", "COMPUTE_IMAGE_TYPE_ISO,!", 1),
		},
		{"networks", scheduler.Options{}, Request{NetworkAggregates: networks}, scheduler.RequestSpec{}, "member_of=in:" + a + "," + b + " member_of=in:" + b + " " + plain},
		{"remote ports", scheduler.Options{}, Request{RemoteManagedPorts: true}, scheduler.RequestSpec{}, strings.Replace(plain, "!", "COMPUTE_REMOTE_MANAGED_PORTS,!", 1)},
		{"limit", scheduler.Options{MaxPlacementResults: 7}, Request{}, scheduler.RequestSpec{}, "limit=7 " + plain},
		{"no limit", scheduler.Options{MaxPlacementResults: 7}, Request{}, scheduler.RequestSpec{Hints: map[string][]string{"group": nil}}, plain},
		{"nobody", scheduler.Options{}, Request{}, scheduler.RequestSpec{ForceHosts: []string{"h"}}, `no such host: host "h", node "": no valid host`},
	} {
		c.r.Spec = &c.spec
		if got := ask(t, c.o, v, &c.r); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// TestNodes holds what is looked up for a named host, and what follows.
func TestNodes(t *testing.T) {
	t.Parallel()
	host := "dest"
	nodes := map[string]int{`"dest" "" "c"`: 1, `"dest" "n" "c"`: 2, `"forced" "" ""`: 1}
	for _, c := range []struct {
		spec scheduler.RequestSpec
		want string
	}{
		{scheduler.RequestSpec{Destination: &scheduler.Destination{Host: &host, Cell: "c"}, ForceHosts: []string{"forced"}}, "in_tree=00000001-"},
		{scheduler.RequestSpec{Destination: &scheduler.Destination{Host: &host, Cell: "c"}, ForceNodes: []string{"n"}}, plain},
		{scheduler.RequestSpec{Destination: &scheduler.Destination{AllowCrossCellMove: true}, ForceHosts: []string{"forced", "x"}}, "in_tree=00000001-"},
	} {
		v := &View{Nodes: func(host, node, cell string) []placement.UUID {
			list := []placement.UUID{placement.MustUUID("00000001-0000-4000-8000-000000000000"), placement.MustUUID("00000002-0000-4000-8000-000000000000")}
			return list[:nodes[fmt.Sprintf("%q %q %q", host, node, cell)]]
		}}
		got := ask(t, scheduler.Options{MaxPlacementResults: 5}, v, &Request{Spec: &c.spec})
		if c.want == plain && got != plain || !strings.HasPrefix(got, c.want) || strings.Contains(got, "limit") != strings.Contains(got, "in_tree") {
			t.Errorf("%+v: %s, want %s", c.spec, got, c.want)
		}
	}
}

// TestOutside holds that groups of other services keep what they ask for, and
// that a query does not change them.
func TestOutside(t *testing.T) {
	t.Parallel()
	port := placement.RequestGroup{
		Suffix: "port", Resources: []placement.Resource{{Class: "NET_BW_EGR_KILOBIT_PER_SEC", Amount: 100}},
		Required: [][]string{{"CUSTOM_A", "CUSTOM_B"}, {"CUSTOM_C"}}, Forbidden: []string{"CUSTOM_D"},
	}
	device := placement.RequestGroup{Suffix: "dev-0", Resources: []placement.Resource{{Class: "CUSTOM_PCI", Amount: 1}}}
	r := &Request{
		Spec: &scheduler.RequestSpec{}, Groups: []placement.RequestGroup{port}, PCIGroups: []placement.RequestGroup{device},
		SameSubtree: [][]string{{"port", "dev-0"}},
	}
	got := ask(t, scheduler.Options{}, &View{Owned: true}, r)
	if want := "requireddev-0=OWNER_NOVA requiredport=CUSTOM_A|CUSTOM_B,CUSTOM_C,!CUSTOM_D " +
		"resources=DISK_GB:10,MEMORY_MB:1024,VCPU:4 resourcesdev-0=CUSTOM_PCI:1 resourcesport=NET_BW_EGR_KILOBIT_PER_SEC:100 " +
		"root_required=OWNER_NOVA,!COMPUTE_STATUS_DISABLED same_subtree=dev-0,port"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if len(port.Required) != 2 || device.Required != nil {
		t.Error("the caller's groups have changed")
	}
	for _, g := range []placement.RequestGroup{{}, {Suffix: "port"}, {Resources: device.Resources}, {Suffix: "dev-0", Resources: device.Resources}} {
		r.Groups = []placement.RequestGroup{g}
		if _, err := New(&scheduler.Options{}).Build(&View{}, r); !errors.Is(err, scheduler.ErrCannotEvaluate) {
			t.Errorf("%+v: %v", g, err)
		}
	}
}

// FuzzCPUs holds that sets stay below the number of CPUs, and that an
// exclusion of everything leaves nothing.
func FuzzCPUs(f *testing.F) {
	for _, s := range []string{"0-3,^2", "^0", " 1 , 2-3 ", "9223372036854775807", "1-9223372036854775807,^5", "3-1", "-1", "1_0"} {
		f.Add(s, int64(4))
	}
	f.Fuzz(func(t *testing.T, text string, most int64) {
		most = min(max(most, 1), 256)
		cpus, ok := parseCPUs(text, most)
		if !ok {
			return
		}
		for n := range cpus {
			if n >= most {
				t.Errorf("%q has CPU %d of %d", text, n, most)
			}
		}
		rest, ok := parseCPUs(fmt.Sprintf("%s,^0-%d", text, most-1), most)
		if ok && len(rest) > 0 {
			t.Errorf("%q leaves %v", text, rest)
		}
	})
}
