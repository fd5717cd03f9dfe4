package query

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
)

// resources makes the groups of flavor and image, and adds those from outside.
//
// Source: nova, scheduler/utils.py, ResourceRequest.from_request_spec.
func (b *build) resources() error {
	b.extraSpecs()
	for _, trait := range imageTraits(b.image) {
		b.require(trait)
	}
	if err := b.pinning(); err != nil {
		return err
	}
	for i := range b.r.PCIGroups {
		b.pciSuffixes = append(b.pciSuffixes, b.r.PCIGroups[i].Suffix)
	}
	if err := b.outside(slices.Concat(b.r.Groups, b.r.PCIGroups)); err != nil {
		return err
	}
	b.sizes()
	for _, translate := range []func() error{
		b.memoryEncryption, b.persistentMemory, b.tpm, b.pciAffinity, b.secureBoot, b.addressMode, b.statelessFirmware,
	} {
		if err := translate(); err != nil {
			return err
		}
	}
	b.strip()
	return nil
}

// sizes adds the flavor's own fields, unless extra specs ask for the class.
func (b *build) sizes() {
	has := map[string]bool{}
	for _, g := range b.groups {
		for class := range g.resources {
			has[class] = true
		}
	}
	add := func(class string, amount int64) {
		if !has[class] {
			b.group("").resources[class] = amount
		}
	}
	if !has["PCPU"] {
		add("VCPU", b.flavor.VCPUs)
	}
	add("MEMORY_MB", b.flavor.MemoryMiB)
	disk := b.flavor.EphemeralGB + (b.flavor.SwapMiB+1023)/1024
	if !b.r.Spec.VolumeBacked {
		disk += b.flavor.RootGiB
	}
	add("DISK_GB", disk)
}

// imageTraits returns the traits that an image requires: properties such as
// trait:HW_CPU_X86_VMX, or Nova's traits_required, the text of a list.
//
// Source: nova, objects/image_meta.py, _set_attr_from_trait_names.
func imageTraits(properties map[string]string) []string {
	var list []string
	for _, m := range quotedName.FindAllStringSubmatch(properties["traits_required"], -1) {
		list = append(list, m[1])
	}
	for key, value := range properties {
		if name, ok := strings.CutPrefix(key, "trait:"); ok && value == "required" {
			list = append(list, name)
		}
	}
	return list
}

var quotedName = regexp.MustCompile(`'([^']*)'`)

// pinning turns the policies of CPUs and their threads into classes and
// traits.
//
// Source: nova, scheduler/utils.py, _translate_pinning_policies.
func (b *build) pinning() error {
	policy, err := b.cpuPolicy()
	if err != nil {
		return err
	}
	threads, err := b.threadPolicy()
	if err != nil {
		return err
	}
	emulator, err := b.emulatorThreads()
	if err != nil {
		return err
	}
	if threads == "require" {
		b.threads = "HW_CPU_HYPERTHREADING"
	}
	b.q.Pinned = policy == dedicated && !b.r.Shared
	if b.r.Shared {
		return nil
	}
	if policy == dedicated || policy == mixed {
		pinned := b.flavor.VCPUs
		if policy == mixed {
			if pinned, err = b.dedicatedCPUs(); err != nil {
				return err
			}
			b.group("").resources["VCPU"] = b.flavor.VCPUs - pinned
		}
		if emulator == "isolate" {
			pinned++
		}
		b.group("").resources["PCPU"] = pinned
	}
	switch threads {
	case "require":
		b.require(b.threads)
	case "isolate":
		b.group("").forbidden["HW_CPU_HYPERTHREADING"] = struct{}{}
	}
	return nil
}

// persistentMemory turns hw:pmem, a list of labels, into classes.
//
// Source: nova, scheduler/utils.py, _translate_vpmems_request.
func (b *build) persistentMemory() error {
	amounts := map[string]int64{}
	for label := range strings.SplitSeq(b.flavor.ExtraSpecs["hw:pmem"], ",") {
		if label = pyvalue.Strip(label); label != "" {
			amounts["CUSTOM_"+strings.ToUpper(notNames.ReplaceAllString("PMEM_NAMESPACE_"+label, "_"))]++
		}
	}
	if len(amounts) > 0 {
		maps.Copy(b.group("").resources, amounts)
	}
	return nil
}

var notNames = regexp.MustCompile(`[^0-9A-Za-z]+`)
