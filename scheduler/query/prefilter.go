package query

import (
	"fmt"
	"strings"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// prefilter narrows a request before placement is asked.
type prefilter struct {
	name  string // Nova's
	apply func(b *build) error
}

// prefilters returns all of Nova's, in its order.
//
// Source: nova, scheduler/request_filter.py, ALL_REQUEST_FILTERS.
func prefilters() []prefilter {
	return []prefilter{
		{"require_tenant_aggregate", requireTenantAggregate},
		{"map_az_to_placement_aggregate", mapZoneToAggregate},
		{"require_image_type_support", requireImageType},
		{"compute_status_filter", forbidDisabled},
		{"isolate_aggregates", isolateAggregates},
		{"transform_image_metadata", transformImage},
		{"accelerators_filter", requireAccelerators},
		{"packed_virtqueue_filter", requirePackedQueues},
		{"routed_networks_filter", requireNetworks},
		{"remote_managed_ports_filter", requireRemoteManagedPorts},
		{"ephemeral_encryption_filter", requireEphemeralEncryption},
		{"virtio_sound_filter", requireVirtioSound},
		{"tpm_secret_security_filter", requireTPMSecrets},
		{"owner_nova_filter", requireOwner},
	}
}

func (b *build) rootRequire(trait string) { b.required[trait] = struct{}{} }

// requireTenantAggregate keeps a project in the aggregates that are for it,
// if there are any.
func requireTenantAggregate(b *build) error {
	if !b.o.LimitTenantsToPlacementAggregate {
		return nil
	}
	found, err := b.aggregatesWith(func(key, value string) bool {
		return value == b.r.Spec.ProjectID && strings.HasPrefix(key, "filter_tenant_id")
	})
	if err != nil {
		return err
	}
	if len(found) == 0 && b.o.PlacementAggregateRequiredForTenants {
		return fmt.Errorf("no aggregate is for project %s: %w", b.r.Spec.ProjectID, ErrNoHost)
	}
	b.memberOfAny(found)
	return nil
}

// mapZoneToAggregate keeps an instance in the aggregates of its availability
// zone. A zone that no aggregate has narrows nothing.
func mapZoneToAggregate(b *build) error {
	zone := b.r.Spec.AvailabilityZone
	if zone == "" {
		return nil
	}
	found, err := b.aggregatesWith(func(key, value string) bool { return key == "availability_zone" && value == zone })
	b.memberOfAny(found)
	return err
}

// isolateAggregates keeps instances that do not require a trait off the
// aggregates that are for it.
func isolateAggregates(b *build) error {
	switch {
	case !b.o.EnableIsolatedAggregateFiltering:
		return nil
	case b.refused != nil: // its traits are not known
		return b.refused
	}
	required := map[string]struct{}{}
	if b.threads != "" {
		required[b.threads] = struct{}{}
	}
	for _, g := range b.groups {
		for trait := range g.required {
			required[trait] = struct{}{}
		}
	}
	found, err := b.aggregatesWith(func(key, value string) bool {
		trait, is := strings.CutPrefix(key, "trait:")
		_, has := required[trait]
		return is && value == "required" && !has
	})
	b.notIn = append(b.notIn, found...)
	return err
}

// aggregatesWith returns the aggregates that have metadata of a kind, in
// their order.
func (b *build) aggregatesWith(fits func(key, value string) bool) ([]placement.UUID, error) {
	var list []placement.UUID
	for i := range b.view.Aggregates {
		a := &b.view.Aggregates[i]
		if !hasMetadata(a, fits) {
			continue
		}
		uuid, err := placement.ParseUUID(a.UUID)
		if err != nil {
			return nil, fmt.Errorf("aggregate %q: %w", a.Name, err)
		}
		list = append(list, uuid)
	}
	return list, nil
}

func hasMetadata(a *scheduler.Aggregate, fits func(key, value string) bool) bool {
	for key, value := range a.Metadata {
		if fits(key, value) {
			return true
		}
	}
	return false
}

func (b *build) memberOfAny(list []placement.UUID) {
	if len(list) > 0 {
		b.memberOf = append(b.memberOf, list)
	}
}

// requireImageType asks for hosts that can read the image's format, unless
// the instance boots from a volume.
func requireImageType(b *build) error {
	if !b.o.QueryPlacementForImageTypeSupport || b.r.Spec.VolumeBacked || b.r.Spec.Image == nil {
		return nil
	}
	trait := "COMPUTE_IMAGE_TYPE_" + strings.ToUpper(b.r.Spec.Image.DiskFormat)
	if _, known := b.traits[trait]; known {
		b.rootRequire(trait)
	}
	return nil
}

// transformImage asks for hosts that can do what the image's properties say.
// If there is no trait for one of them, all are left out.
func transformImage(b *build) error {
	if !b.o.ImageMetadataPrefilter {
		return nil
	}
	var traits []string
	for _, m := range [][2]string{
		{"hw_cdrom_bus", "COMPUTE_STORAGE_BUS_"},
		{"hw_disk_bus", "COMPUTE_STORAGE_BUS_"},
		{"hw_video_model", "COMPUTE_GRAPHICS_MODEL_"},
		{"hw_vif_model", "COMPUTE_NET_VIF_MODEL_"},
		{"hw_architecture", "HW_ARCH_"},
		{"hw_emulation_architecture", "COMPUTE_ARCH_"},
		{"hw_viommu_model", "COMPUTE_VIOMMU_"},
	} {
		value, has := b.image[m[0]]
		if !has {
			continue
		}
		trait := m[1] + traitWord(value)
		if _, known := b.traits[trait]; !known {
			return nil
		}
		traits = append(traits, trait)
	}
	for _, trait := range traits {
		b.rootRequire(trait)
	}
	return nil
}

// forbidDisabled leaves out hosts whose compute service is disabled.
func forbidDisabled(b *build) error {
	b.forbidden["COMPUTE_STATUS_DISABLED"] = struct{}{}
	return nil
}

func requireAccelerators(b *build) error {
	if b.flavor.ExtraSpecs["accel:device_profile"] != "" {
		b.rootRequire("COMPUTE_ACCELERATORS")
	}
	return nil
}

func requirePackedQueues(b *build) error {
	packed, err := b.agreedBool("virtio_packed_ring")
	if packed {
		b.rootRequire("COMPUTE_NET_VIRTIO_PACKED")
	}
	return err
}

// requireNetworks keeps an instance where its networks have a segment. What
// aggregates those are, the caller has asked Neutron.
func requireNetworks(b *build) error {
	for _, list := range b.r.NetworkAggregates {
		b.memberOfAny(list)
	}
	return nil
}

func requireRemoteManagedPorts(b *build) error {
	if b.r.RemoteManagedPorts {
		b.rootRequire("COMPUTE_REMOTE_MANAGED_PORTS")
	}
	return nil
}

func requireEphemeralEncryption(b *build) error {
	encrypted, err := b.agreedBool("ephemeral_encryption")
	if err != nil || !encrypted {
		return err
	}
	format, err := b.agreed("hw", "ephemeral_encryption_format", "plain", "luks", "luksv2")
	if err != nil {
		return err
	}
	b.rootRequire("COMPUTE_EPHEMERAL_ENCRYPTION")
	if format != "" {
		b.rootRequire("COMPUTE_EPHEMERAL_ENCRYPTION_" + strings.ToUpper(format))
	}
	return nil
}

func requireVirtioSound(b *build) error {
	model, err := b.agreed("hw", "sound_model", "sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio")
	if model == "virtio" && err == nil {
		b.rootRequire("COMPUTE_SOUND_MODEL_VIRTIO")
	}
	return err
}

// requireTPMSecrets asks for hosts that keep the secrets of virtual TPMs as
// the flavor says; the default is user.
func requireTPMSecrets(b *build) error {
	version, err := b.tpmVersion()
	if err != nil || version == "" {
		return err
	}
	const key = "hw:tpm_secret_security"
	security := b.flavor.ExtraSpecs[key]
	switch security {
	case "":
		security = "user"
	case "user", "host", "deployment":
	default:
		return fmt.Errorf("extra spec %s is %q, allowed are: user, host, deployment: %w", key, security, ErrNoHost)
	}
	b.rootRequire("COMPUTE_SECURITY_TPM_SECRET_SECURITY_" + strings.ToUpper(security))
	return nil
}

// requireOwner leaves out providers that are not Nova's, once Nova's all say
// that they are.
func requireOwner(b *build) error {
	const trait = "OWNER_NOVA"
	if _, has := b.required[trait]; has || !b.view.Owned {
		return nil
	}
	b.rootRequire(trait)
	for _, suffix := range b.pciSuffixes {
		b.group(suffix).required[trait] = struct{}{}
	}
	return nil
}
