package imagemeta

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"
)

func TestRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		raw  map[string]any
		want map[string]string
	}{
		{"nothing known", map[string]any{"colour": "red", "os_type": nil}, nil},
		{"text", map[string]any{"os_distro": " Debian", "hw_machine_type": json.Number("3.0")}, map[string]string{"os_distro": " Debian", "hw_machine_type": "3.0"}},
		{"boolean", map[string]any{"hw_boot_menu": "yes", "hw_pmu": "perhaps", "hw_ipxe_boot": true}, map[string]string{"hw_boot_menu": "True", "hw_pmu": "False", "hw_ipxe_boot": "True"}},
		{"integer", map[string]any{"hw_cpu_cores": " 1_0", "hw_video_ram": json.Number("64")}, map[string]string{"hw_cpu_cores": "10", "hw_video_ram": "64"}},
		{
			"canonical",
			map[string]any{"hw_architecture": "AMD64", "img_hv_type": "XAPI", "hw_vm_mode": "PV", "os_type": "Linux", "hw_scsi_model": "paravirtual"},
			map[string]string{"hw_architecture": "x86_64", "img_hv_type": "xen", "hw_vm_mode": "xen", "os_type": "linux", "hw_scsi_model": "vmpvscsi"},
		},
		{"old names", map[string]any{"architecture": "i386", "hypervisor_version_requires": ">=6.0"}, map[string]string{"hw_architecture": "i686", "img_hv_requested_version": ">=6.0"}},
		{"the current name counts", map[string]any{"vm_mode": "xen", "hw_vm_mode": "hvm"}, map[string]string{"hw_vm_mode": "hvm"}},
		{"adapter", map[string]any{"vmware_adaptertype": "lsiLogicsas"}, map[string]string{"hw_disk_bus": "scsi", "hw_scsi_model": "lsisas1068"}},
		{"adapter ide", map[string]any{"vmware_adaptertype": "ide"}, map[string]string{"hw_disk_bus": "ide"}},
		{"memory of nodes", map[string]any{"hw_numa_mem.0": "512", "hw_numa_mem.1": json.Number("1024"), "hw_numa_mem.3": "1"}, map[string]string{"hw_numa_mem": "[512, 1024]"}},
		{"CPUs of nodes", map[string]any{"hw_numa_cpus.0": "0-1", "hw_numa_cpus.1": json.Number("2"), "hw_numa_cpus.3": "3"}, map[string]string{"hw_numa_cpus.0": "0-1", "hw_numa_cpus.1": "2"}},
		{"traits", map[string]any{"trait:B": "required", "trait:A": "required", "trait:C": "forbidden"}, map[string]string{"traits_required": "['A', 'B']"}},
	} {
		if got, err := Read(c.raw); err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"hw_cpu_cores": "2.5", "hw_architecture": "z80", "hypervisor_type": "hal", "hw_vm_mode": "", "os_distro": []any{}, "hw_numa_mem.0": "x",
	} {
		_, err := Read(map[string]any{name: value})
		var wrong *PropertyError
		if !errors.As(err, &wrong) || wrong.Name != name || wrong.Allowed == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNames holds old names to properties that there are.
func TestNames(t *testing.T) {
	t.Parallel()
	for old, current := range legacy {
		if _, known := kinds[current]; !known {
			t.Errorf("%s is now %s, which is not known", old, current)
		}
		if _, known := kinds[old]; known {
			t.Errorf("%s is old and current", old)
		}
	}
}

// TestTrue holds that a text is true even if it looks like a false number.
func TestTrue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"hw_boot_menu", "True", true},
		{"hw_boot_menu", "False", false},
		{"hw_cpu_cores", "0", false},
		{"hw_cpu_cores", "8", true},
		{"os_distro", "False", true},
		{"os_distro", "0", true},
		{"os_distro", "", false},
	} {
		if got := True(c.name, c.value); got != c.want {
			t.Errorf("%s = %q is %v", c.name, c.value, got)
		}
	}
}
