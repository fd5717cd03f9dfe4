package weigh

import (
	"errors"
	"reflect"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

func choose(t *testing.T, name string, o *scheduler.Options) scheduler.Weigher {
	t.Helper()
	o.WeightClasses = []string{name}
	list, err := Choose(o)
	if err != nil || len(list) != 1 || list[0].Name() != name {
		t.Fatalf("%s: %v, %v", name, list, err)
	}
	return list[0]
}

func TestScores(t *testing.T) {
	t.Parallel()
	version := int64(7002000)
	a := &scheduler.HostState{
		Host: "a", Cell: "c1", FreeRAMMiB: -5, FreeDiskMiB: 7, VCPUsTotal: 3, VCPUsUsed: 2, CPUAllocationRatio: 1.5, NumIOOps: 4,
		NumInstances: 9, FailedBuilds: 2, FreePCI: 3, HypervisorVersion: &version, Metrics: map[string]int64{"m": 2, "n": 3},
		Instances: map[string]scheduler.Instance{
			"1": {Image: map[string]string{"os_type": "linux", "hw_disk_bus": "virtio"}},
			"2": {Image: map[string]string{"os_type": "linux"}}, "3": {},
		},
	}
	b := &scheduler.HostState{Host: "b", Cell: "c2", FreePCI: 120, CPUAllocationRatio: 1, Metrics: map[string]int64{"m": 1}}
	cell := "c1"
	spec := func(policy string) *scheduler.RequestSpec {
		return &scheduler.RequestSpec{
			Group:       &scheduler.Group{Policy: policy, Members: []string{"1", "3", "4"}},
			Image:       &scheduler.Image{Properties: map[string]string{"os_type": "linux", "hw_disk_bus": "virtio"}},
			Destination: &scheduler.Destination{Cell: cell, AllowCrossCellMove: policy == ""},
		}
	}
	settings := []scheduler.Setting{{Name: "m", Ratio: 0.5}, {Name: "n", Ratio: -1}, {Name: "m", Ratio: 0.5}}
	for _, c := range []struct {
		name   string
		o      scheduler.Options
		policy string
		want   []float64
	}{
		{"RAMWeigher", scheduler.Options{}, "", []float64{-5, 0}},
		{"DiskWeigher", scheduler.Options{}, "", []float64{7, 0}},
		{"CPUWeigher", scheduler.Options{}, "", []float64{2.5, 0}},
		{"IoOpsWeigher", scheduler.Options{}, "", []float64{4, 0}},
		{"NumInstancesWeigher", scheduler.Options{}, "", []float64{9, 0}},
		{"BuildFailureWeigher", scheduler.Options{}, "", []float64{2, 0}},
		{"HypervisorVersionWeigher", scheduler.Options{}, "", []float64{7002000, 0}},
		{"PCIWeigher", scheduler.Options{}, "", []float64{97, 1}},
		{"CrossCellWeigher", scheduler.Options{}, "", []float64{1, -1}},
		{"CrossCellWeigher", scheduler.Options{}, "stay", []float64{0, 0}},
		{"ServerGroupSoftAffinityWeigher", scheduler.Options{}, scheduler.SoftAffinity, []float64{2, 0}},
		{"ServerGroupSoftAffinityWeigher", scheduler.Options{}, scheduler.SoftAntiAffinity, []float64{0, 0}},
		{"ServerGroupSoftAntiAffinityWeigher", scheduler.Options{}, scheduler.SoftAntiAffinity, []float64{-2, 0}},
		{"ImagePropertiesWeigher", scheduler.Options{}, "", []float64{0, 0}},
		{"ImagePropertiesWeigher", scheduler.Options{ImagePropsWeightMultiplier: 1}, "", []float64{3, 0}},
		{"ImagePropertiesWeigher", scheduler.Options{
			ImagePropsWeightMultiplier: 1, ImagePropsWeightSetting: []scheduler.Setting{{Name: "os_type", Ratio: 9}, {Name: "os_type", Ratio: 0.25}},
		}, "", []float64{0.5, 0}},
		{"MetricsWeigher", scheduler.Options{}, "", []float64{0, 0}},
		{"MetricsWeigher", scheduler.Options{
			MetricsWeightSetting: settings, MetricsWeightMultiplier: 1, MetricsWeightOfUnavailable: -8,
		}, "", []float64{-1, -8}},
		{"MetricsWeigher", scheduler.Options{MetricsWeightSetting: settings, MetricsWeightOfUnavailable: -8}, "", []float64{-1, 1}},
	} {
		raw := []float64{77, 77}
		r := &scheduler.Request{Spec: spec(c.policy)}
		if err := choose(t, c.name, &c.o).Weigh(r, []*scheduler.HostState{a, b}, raw); err != nil || !reflect.DeepEqual(raw, c.want) {
			t.Errorf("%s, policy %q: %v, %v; want %v", c.name, c.policy, raw, err, c.want)
		}
	}
	w := choose(t, "MetricsWeigher", &scheduler.Options{MetricsWeightSetting: settings, MetricsRequired: true})
	if err := w.Weigh(&scheduler.Request{}, []*scheduler.HostState{a, b}, make([]float64, 2)); !errors.Is(err, scheduler.ErrCannotEvaluate) {
		t.Errorf("a required metric is missing: %v", err)
	}
}

// TestIdle holds Idle to its word: every score is then 0.
func TestIdle(t *testing.T) {
	t.Parallel()
	h := &scheduler.HostState{Cell: "c", Instances: map[string]scheduler.Instance{"1": {Image: map[string]string{"os_type": "linux"}}}}
	idle := 0
	for _, s := range []*scheduler.RequestSpec{
		{},
		{Group: &scheduler.Group{Policy: scheduler.Affinity, Members: []string{"1"}}},
		{Destination: &scheduler.Destination{Cell: "c"}},
		{Image: &scheduler.Image{Properties: map[string]string{"os_type": "linux"}}},
	} {
		for _, c := range Builtin() {
			w := c.New(&scheduler.Options{})
			i, ok := w.(scheduler.Idler)
			if !ok || !i.Idle(s) {
				continue
			}
			idle++
			raw := []float64{1}
			if err := w.Weigh(&scheduler.Request{Spec: s}, []*scheduler.HostState{h}, raw); err != nil || raw[0] != 0 {
				t.Errorf("%s, %+v: %v, %v", c.Name, s, raw, err)
			}
		}
	}
	if idle != 4*5 {
		t.Errorf("%d times idle, want 20", idle)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	own := Constructor{"Own", newRAM}
	list, err := Choose(&scheduler.Options{WeightClasses: []string{"nova.scheduler.weights.ram.RAMWeigher", all, "my.module.Own"}}, own)
	if err != nil || len(list) != 2+len(Builtin()) {
		t.Errorf("%d weighers, %v", len(list), err)
	}
	if _, err := Choose(&scheduler.Options{WeightClasses: []string{"Ram"}}); err == nil {
		t.Error("an unknown name is chosen")
	}
	for _, c := range Builtin() {
		w := c.New(&scheduler.Options{RAMWeightMultiplier: 1})
		least, floored := w.Floor()
		if w.Name() != c.Name || w.Reads() == 0 || w.Multiplier().Key == "" || least != 0 ||
			floored != (c.Name == "RAMWeigher" || c.Name == "CPUWeigher" || c.Name == "DiskWeigher" || c.Name == "IoOpsWeigher") ||
			w.Multiplier().Negate != (c.Name == "BuildFailureWeigher") {
			t.Errorf("%s: %+v", c.Name, w)
		}
	}
}
