package query

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

const (
	shared    = "shared"
	dedicated = "dedicated"
	mixed     = "mixed"
)

// refuse returns the error of a flavor or image that Nova refuses.
func refuse(format string, values ...any) error {
	return fmt.Errorf(format+": %w", append(values, scheduler.ErrCannotEvaluate)...)
}

// both returns what the flavor's extra spec and the image's property of a key
// say, such as hw:cpu_policy and hw_cpu_policy. "": nothing.
func (b *build) both(prefix, key string) (flavor, image string) {
	return b.flavor.ExtraSpecs[prefix+":"+key], b.image[prefix+"_"+key]
}

// agreed returns what flavor or image say of a key, and refuses what is not
// allowed and what they do not agree on.
//
// Source: nova, virt/hardware.py, _get_unique_flavor_image_meta.
func (b *build) agreed(prefix, key string, allowed ...string) (string, error) {
	flavor, image := b.both(prefix, key)
	if flavor != "" && image != "" && flavor != image {
		return "", refuse("extra spec %s:%s is %q, and image property %s_%s is %q", prefix, key, flavor, prefix, key, image)
	}
	if flavor == "" {
		flavor = image
	}
	return flavor, oneOf(prefix+":"+key, flavor, allowed...)
}

// oneOf refuses values that are not allowed. "" always is.
func oneOf(key, value string, allowed ...string) error {
	if value != "" && !slices.Contains(allowed, value) {
		return refuse("extra spec or image property %s is %q, allowed are: %s", key, value, strings.Join(allowed, ", "))
	}
	return nil
}

// agreedBool is agreed for a yes or no; neither is no.
func (b *build) agreedBool(key string) (bool, error) {
	extra, has := b.flavor.ExtraSpecs["hw:"+key]
	image, imageHas := b.image["hw_"+key]
	if has && imageHas && pyvalue.Bool(extra) != pyvalue.Bool(image) {
		return false, refuse("extra spec hw:%s is %q, and image property hw_%s is %q", key, extra, key, image)
	}
	return pyvalue.Bool(extra) || pyvalue.Bool(image), nil
}

// cpuPolicy returns shared, dedicated, mixed or "".
//
// Source: nova, virt/hardware.py, get_cpu_policy_constraint.
func (b *build) cpuPolicy() (string, error) {
	flavor, image := b.both("hw", "cpu_policy")
	for _, policy := range []string{flavor, image} {
		if err := oneOf("hw:cpu_policy", policy, shared, dedicated, mixed); err != nil {
			return "", err
		}
	}
	if flavor == mixed && image == dedicated || flavor == shared && (image == dedicated || image == mixed) {
		return "", refuse("image property hw_cpu_policy is %q, and extra spec hw:cpu_policy is %q", image, flavor)
	}
	if flavor != "" {
		return flavor, nil
	}
	return image, nil
}

// threadPolicy returns prefer, isolate, require or "". The image decides
// where the flavor has no opinion.
//
// Source: nova, virt/hardware.py, get_cpu_thread_policy_constraint.
func (b *build) threadPolicy() (string, error) {
	flavor, image := b.both("hw", "cpu_thread_policy")
	for _, policy := range []string{flavor, image} {
		if err := oneOf("hw:cpu_thread_policy", policy, "prefer", "isolate", "require"); err != nil {
			return "", err
		}
	}
	switch {
	case flavor == "":
		return image, nil
	case flavor != "prefer" && image != "" && image != flavor:
		return "", refuse("image property hw_cpu_thread_policy is %q, and extra spec hw:cpu_thread_policy is %q", image, flavor)
	default:
		return flavor, nil
	}
}

func (b *build) emulatorThreads() (string, error) {
	const key = "hw:emulator_threads_policy"
	policy := b.flavor.ExtraSpecs[key]
	return policy, oneOf(key, policy, "share", "isolate")
}

// memoryEncryption asks for a slot and the CPU's feature.
//
// Source: nova, virt/hardware.py, get_mem_encryption_constraint.
func (b *build) memoryEncryption() error {
	wanted, err := b.agreedBool("mem_encryption")
	if err != nil || !wanted {
		return err
	}
	model, err := b.agreed("hw", "mem_encryption_model", "amd-sev", "amd-sev-es", "amd-sev-snp")
	if err != nil {
		return err
	}
	if model == "" {
		model = "amd-sev"
	}
	if firmware := b.image["hw_firmware_type"]; firmware != "uefi" {
		return refuse("image property hw_firmware_type is %q, and memory encryption allows only: uefi", firmware)
	}
	if machine, has := b.image["hw_machine_type"]; has && !strings.Contains(machine, "q35") {
		return refuse("image property hw_machine_type is %q, and memory encryption allows only: q35", machine)
	}
	if model == "amd-sev-snp" && !b.stateless() {
		return refuse("memory encryption by amd-sev-snp needs the image property hw_firmware_stateless")
	}
	b.group("").resources["MEM_ENCRYPTION_CONTEXT"] = 1
	b.require("HW_CPU_X86_" + traitWord(model))
	return nil
}

// traitWord is a value as names of traits have it.
func traitWord(value string) string { return strings.ToUpper(strings.ReplaceAll(value, "-", "_")) }

// tpmVersion returns the version of the virtual TPM, "": none is wanted.
//
// Source: nova, virt/hardware.py, get_vtpm_constraint.
func (b *build) tpmVersion() (string, error) { return b.agreed("hw", "tpm_version", "1.2", "2.0") }

func (b *build) tpm() error {
	version, err := b.tpmVersion()
	if err != nil || version == "" {
		return err
	}
	model, err := b.agreed("hw", "tpm_model", "tpm-tis", "tpm-crb")
	switch {
	case err != nil:
		return err
	case model == "tpm-crb" && version != "2.0":
		return refuse("hw:tpm_model is tpm-crb, and hw:tpm_version is %q, allowed is: 2.0", version)
	case model == "tpm-crb":
		b.require("COMPUTE_SECURITY_TPM_CRB")
	default:
		b.require("COMPUTE_SECURITY_TPM_TIS")
	}
	b.require("COMPUTE_SECURITY_TPM_" + strings.ReplaceAll(version, ".", "_"))
	return nil
}

// pciAffinity asks hosts to know about sockets if the policy needs them.
//
// Source: nova, virt/hardware.py, get_pci_numa_policy_constraint.
func (b *build) pciAffinity() error {
	policy, err := b.agreed("hw", "pci_numa_affinity_policy", "required", "legacy", "preferred", "socket")
	if policy == "socket" && err == nil {
		b.require("COMPUTE_SOCKET_PCI_NUMA_AFFINITY")
	}
	return err
}

func (b *build) secureBoot() error {
	policy, err := b.agreed("os", "secure_boot", "required", "disabled", "optional")
	if policy == "required" && err == nil {
		b.require("COMPUTE_SECURITY_UEFI_SECURE_BOOT")
	}
	return err
}

func (b *build) addressMode() error {
	mode, err := b.agreed("hw", "maxphysaddr_mode", "passthrough", "emulate")
	switch {
	case err != nil:
		return err
	case mode == "passthrough":
		b.require("COMPUTE_ADDRESS_SPACE_PASSTHROUGH")
	case mode == "emulate":
		b.require("COMPUTE_ADDRESS_SPACE_EMULATED")
	}
	return nil
}

func (b *build) statelessFirmware() error {
	if b.stateless() {
		b.require("COMPUTE_SECURITY_STATELESS_FIRMWARE")
	}
	return nil
}

// stateless reports whether the firmware keeps nothing; only UEFI can.
//
// Source: nova, virt/hardware.py, get_stateless_firmware_constraint.
func (b *build) stateless() bool {
	return b.image["hw_firmware_type"] == "uefi" && pyvalue.Bool(b.image["hw_firmware_stateless"])
}
