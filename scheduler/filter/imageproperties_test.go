package filter

import (
	"encoding/json"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

func TestImageProperties(t *testing.T) {
	t.Parallel()
	type props = map[string]string
	host := func(cpuInfo any) *scheduler.HostState {
		version := int64(7002000)
		return &scheduler.HostState{
			HypervisorVersion: &version, CPUInfo: cpuInfo,
			SupportedInstances: [][]string{{"i686", "xen", "xen"}, {"x86_64", "kvm", "hvm"}},
		}
	}
	bits := map[string]any{"maxphysaddr": map[string]any{"bits": json.Number("46")}}
	for _, c := range []struct {
		name  string
		props props
		h     *scheduler.HostState
		arch  string
		want  string
	}{
		{"no properties", nil, host(nil), "", ""},
		{"nothing that counts", props{"img_hv_requested_version": ">9", "hw_maxphysaddr_bits": "99"}, &scheduler.HostState{}, "", ""},
		{"all", props{"hw_architecture": "x86_64", "img_hv_type": "kvm", "hw_vm_mode": "hvm"}, host(nil), "", ""},
		{
			"not in one",
			props{"hw_architecture": "i686", "img_hv_type": "kvm"},
			host(nil), "",
			"the image asks for a combination of architecture, hypervisor type and VM mode that the host does not support",
		},
		{
			"no such type",
			props{"hw_architecture": "i686", "img_hv_type": "lxc"},
			host(nil), "",
			"the image asks for hypervisor type lxc, which no supported instance of the host has",
		},
		{"default", nil, host(nil), "aarch64", "the image asks for architecture aarch64, which no supported instance of the host has"},
		{"not the default", props{"hw_architecture": "x86_64"}, host(nil), "aarch64", ""},
		{"nothing reported", props{"hw_vm_mode": "hvm"}, &scheduler.HostState{}, "", "the image asks for a kind of instance, the host tells of none"},
		{"version", props{"hw_vm_mode": "hvm", "img_hv_requested_version": ">=6.0,<7.3"}, host(nil), "", ""},
		{
			"older version",
			props{"hw_vm_mode": "hvm", "img_hv_requested_version": ">=7.2.1"},
			host(nil), "",
			"the image asks for hypervisor version >=7.2.1, the host has 7002000",
		},
		{"no version", props{"hw_vm_mode": "hvm", "img_hv_requested_version": "7.2"}, host(nil), "", raises},
		{"bits", props{"hw_vm_mode": "hvm", "hw_maxphysaddr_bits": "46"}, host(bits), "", ""},
		{"bits unknown", props{"hw_vm_mode": "hvm", "hw_maxphysaddr_bits": "46"}, host(map[string]any{}), "", ""},
		{
			"too few bits",
			props{"hw_vm_mode": "hvm", "hw_maxphysaddr_bits": "47"},
			host(bits), "",
			"the image asks for 47 bits of physical address, the host has 46",
		},
		{"bits in a text", props{"hw_vm_mode": "hvm", "hw_maxphysaddr_bits": "46"}, host(`{"maxphysaddr": {"bits": 46}}`), "", raises},
		{"bits are a text", props{"hw_vm_mode": "hvm", "hw_maxphysaddr_bits": "46"}, host(map[string]any{
			"maxphysaddr": map[string]any{"bits": "46"},
		}), "", raises},
		{"width is none", props{"hw_vm_mode": "hvm", "hw_maxphysaddr_bits": "46"}, host(map[string]any{"maxphysaddr": nil}), "", raises},
	} {
		r := &scheduler.Request{Spec: &scheduler.RequestSpec{Image: &scheduler.Image{Properties: c.props}}}
		if c.props == nil {
			r.Spec.Image = nil
		}
		o := scheduler.Options{ImagePropertiesDefaultArchitecture: c.arch}
		if got := ask(t, "ImagePropertiesFilter", o, r, c.h); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
