package document

import (
	"encoding/json"
	"errors"

	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/imagemeta"
)

const specKeys = "flavor, image, project_id, user_id, availability_zone, scheduler_hints, instance_group, ignore_hosts, " +
	"force_hosts, force_nodes, requested_destination, instance_uuids, network_metadata, pci_requests"

func readSpec(o *object) *scheduler.RequestSpec {
	s := &scheduler.RequestSpec{}
	if flavor := o.object("flavor"); flavor != nil {
		s.Flavor = readFlavor(flavor)
	}
	s.Image = readImage(o)
	o.text("project_id", &s.ProjectID)
	o.text("user_id", &s.UserID)
	o.text("availability_zone", &s.AvailabilityZone)
	s.Hints = readHints(o)
	s.Group = readGroup(o.object("instance_group"))
	o.texts("ignore_hosts", &s.IgnoreHosts)
	o.texts("force_hosts", &s.ForceHosts)
	o.texts("force_nodes", &s.ForceNodes)
	s.Destination = readDestination(o.object("requested_destination"))
	if networks := o.object("network_metadata"); networks != nil {
		networks.texts("physnets", &s.Networks.Physnets)
		networks.boolean("tunneled", &s.Networks.Tunneled)
		networks.done("physnets, tunneled")
	}
	o.each("pci_requests", func(path string, raw json.RawMessage) {
		s.Devices = append(s.Devices, readDevices(open(raw, path, o.err)))
	})
	uuids, given := o.keys["instance_uuids"]
	o.texts("instance_uuids", &s.Instances)
	if s.Instances == nil {
		if given && string(uuids) != "null" {
			refuse(o.err, o.at("instance_uuids"), uuids, "one or more texts")
		}
		s.Instances = []string{""} // one instance that has no name yet
	}
	o.done(specKeys)
	return s
}

// readDevices reads a request for PCI devices without an alias.
func readDevices(o *object) scheduler.DeviceRequest {
	r := scheduler.DeviceRequest{Count: 1}
	o.text("requester_id", &r.Requester)
	o.integer("count", &r.Count)
	o.text("numa_policy", &r.NUMAPolicy)
	o.each("spec", func(path string, raw json.RawMessage) {
		attributes := map[string]string{}
		open(raw, path, o.err).rest(func(key, path string, raw json.RawMessage) {
			if attributes[key] = ""; string(raw) == "null" {
				return
			}
			if attributes[key] = scalar(o.err, path, raw); attributes[key] == "" {
				refuse(o.err, path, raw, "a text, or null for devices without it")
			}
		})
		r.Specs = append(r.Specs, attributes)
	})
	o.done("requester_id, count, spec, numa_policy")
	return r
}

func readFlavor(o *object) scheduler.Flavor {
	var f scheduler.Flavor
	o.text("name", &f.Name)
	o.integer("vcpus", &f.VCPUs)
	o.integer("memory_mb", &f.MemoryMiB)
	o.integer("root_gb", &f.RootGiB)
	o.integer("ephemeral_gb", &f.EphemeralGB)
	o.integer("swap", &f.SwapMiB)
	f.ExtraSpecs = o.mapping("extra_specs")
	o.done("name, vcpus, memory_mb, root_gb, ephemeral_gb, swap, extra_specs")
	return f
}

// readImage returns nil for null, and an image without properties when there
// is none.
func readImage(o *object) *scheduler.Image {
	if raw, has := o.keys["image"]; has && string(raw) == "null" {
		delete(o.keys, "image")
		return nil
	}
	image := &scheduler.Image{}
	in := o.object("image")
	if in == nil {
		return image
	}
	in.text("id", &image.ID)
	in.text("disk_format", &image.DiskFormat)
	if properties := in.object("properties"); properties != nil {
		image.Properties = readProperties(properties)
	}
	in.done("id, disk_format, properties")
	return image
}

// readProperties reads image properties, to the last key.
func readProperties(o *object) map[string]string {
	raw := map[string]any{}
	o.rest(func(key, _ string, value json.RawMessage) { raw[key] = decode(value) })
	properties, err := imagemeta.Read(raw)
	if wrong := (*imagemeta.PropertyError)(nil); errors.As(err, &wrong) {
		shown, _ := json.Marshal(wrong.Value) // was read from JSON
		refuse(o.err, o.at(wrong.Name), shown, wrong.Allowed)
	}
	return properties
}

// readHints makes a list of each hint that is a single value.
func readHints(o *object) map[string][]string {
	in := o.object("scheduler_hints")
	if in == nil {
		return nil
	}
	hints := make(map[string][]string, len(in.keys))
	in.rest(func(key, path string, raw json.RawMessage) {
		var list []json.RawMessage
		switch {
		case string(raw) == "null":
			return
		case json.Unmarshal(raw, &list) != nil:
			list = []json.RawMessage{raw}
		}
		hints[key] = make([]string, len(list))
		for i, item := range list {
			hints[key][i] = scalar(o.err, path, item)
		}
	})
	return hints
}

func readGroup(o *object) *scheduler.Group {
	if o == nil {
		return nil
	}
	g := &scheduler.Group{}
	o.text("uuid", &g.UUID)
	o.text("policy", &g.Policy)
	o.texts("hosts", &g.Hosts)
	o.texts("members", &g.Members)
	if rules := o.object("rules"); rules != nil {
		if raw := rules.take("max_server_per_host"); raw != nil {
			n, ok := scheduler.ParseInt(scalar(o.err, rules.at("max_server_per_host"), raw))
			if !ok {
				refuse(o.err, rules.at("max_server_per_host"), raw, "an integer")
			}
			g.MaxServerPerHost = &n
		}
		rules.done("max_server_per_host")
	}
	o.done("uuid, policy, rules, hosts, members")
	return g
}

func readDestination(o *object) *scheduler.Destination {
	if o == nil {
		return nil
	}
	d := &scheduler.Destination{}
	o.into("host", &d.Host, "a text")
	o.text("node", &d.Node)
	o.text("cell_uuid", &d.Cell)
	o.boolean("allow_cross_cell_move", &d.AllowCrossCellMove)
	o.done("host, node, cell_uuid, allow_cross_cell_move")
	return d
}
