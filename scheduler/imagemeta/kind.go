package imagemeta

import (
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
)

// kind is how the values of a property are read.
type kind uint8

const (
	plain kind = iota
	boolean
	integer
	lower
	architecture
	hypervisor
	vmMode
	scsiModel
)

// canonical returns the text that Python prints of a value, or what is
// allowed.
//
// Source: nova, objects/fields.py, coerce and canonicalize of each type.
func (k kind) canonical(s string) (value, allowed string) {
	switch k {
	case boolean:
		return pyvalue.OfBool(pyvalue.Bool(s)).String(), ""
	case integer:
		n, ok := pyvalue.ParseInt(s)
		if !ok {
			return "", "an integer"
		}
		return pyvalue.OfInt(n).String(), ""
	case lower:
		return strings.ToLower(s), ""
	case architecture:
		return oneOf(CanonicalArchitecture(s), Architectures())
	case hypervisor:
		return oneOf(CanonicalHypervisor(s), Hypervisors())
	case vmMode:
		return oneOf(CanonicalVMMode(s), VMModes())
	case scsiModel:
		switch s = strings.ToLower(s); s {
		case "lsilogicsas":
			return "lsisas1068", ""
		case "paravirtual":
			return "vmpvscsi", ""
		}
	case plain:
	}
	return s, ""
}

// True reports whether Python takes the canonical value of a property for true:
// not the empty text, False of a boolean, 0 of an integer.
func True(name, value string) bool {
	switch kinds[name] {
	case boolean:
		return value == "True"
	case integer:
		return value != "0"
	default:
		return value != ""
	}
}

func oneOf(s string, known []string) (value, allowed string) {
	if !slices.Contains(known, s) {
		return "", strings.Join(known, ", ")
	}
	return s, ""
}

// CanonicalArchitecture returns Nova's name of a CPU architecture. What it
// does not know becomes lower case.
//
// Source: nova, objects/fields.py, Architecture.canonicalize.
func CanonicalArchitecture(s string) string {
	switch s = strings.ToLower(s); s {
	case "i386", "i486", "i586", "x86_32", "x86_32p":
		return "i686"
	case "amd64":
		return "x86_64"
	}
	return s
}

// CanonicalHypervisor returns Nova's name of a hypervisor type. What it does
// not know becomes lower case.
//
// Source: nova, objects/fields.py, HVType.canonicalize.
func CanonicalHypervisor(s string) string {
	if s = strings.ToLower(s); s == "xapi" {
		return "xen"
	}
	return s
}

// CanonicalVMMode returns Nova's name of a virtual machine mode. What it does
// not know becomes lower case.
//
// Source: nova, objects/fields.py, VMMode.canonicalize.
func CanonicalVMMode(s string) string {
	switch s = strings.ToLower(s); s {
	case "pv":
		return "xen"
	case "hv", "baremetal":
		return "hvm"
	}
	return s
}

// Architectures returns the CPU architectures that Nova knows.
//
// Source: nova, virt/arch.py, ALL.
func Architectures() []string {
	return strings.Fields("alpha armv6 armv7l armv7b aarch64 cris i686 ia64 lm32 m68k microblaze microblazeel mips mipsel " +
		"mips64 mips64el openrisc parisc parisc64 ppc ppcle ppc64 ppc64le ppcemb s390 s390x sh4 sh4eb sparc sparc64 " +
		"unicore32 x86_64 xtensa xtensaeb")
}

// Hypervisors returns the hypervisor types that Nova knows.
//
// Source: nova, objects/fields.py, HVType.ALL.
func Hypervisors() []string {
	return strings.Fields("baremetal bhyve docker fake hyperv ironic kqemu kvm lxc lxd openvz parallels phyp qemu test uml " +
		"vbox vz vmware xen zvm prsm")
}

// VMModes returns the virtual machine modes that Nova knows.
//
// Source: nova, objects/fields.py, VMMode.ALL.
func VMModes() []string { return strings.Fields("hvm xen uml exe") }
