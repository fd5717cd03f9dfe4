package document

import (
	"encoding/json"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Drain is a question which hosts could be emptied.
type Drain struct {
	Hosts     []*scheduler.HostState
	Instances map[string]Resident // by UUID; each that a host has
	Groups    []*scheduler.Group
}

// Resident is an instance that lives on a host.
type Resident struct {
	Flavor scheduler.Flavor
	Fixed  bool // cannot move
}

// ReadDrain reads a document of hosts as in [Read], what their instances are,
// and their server groups. It returns a [*KeyError], or an error that says
// where the text is not JSON.
func ReadDrain(text []byte) (*Drain, error) {
	if err := wellFormed(text); err != nil {
		return nil, err
	}
	var err error
	o := open(text, "", &err)
	d := &Drain{Instances: map[string]Resident{}}
	o.each("hosts", func(path string, raw json.RawMessage) {
		d.Hosts = append(d.Hosts, readHost(open(raw, path, &err)))
	})
	if in := o.object("instances"); in != nil {
		in.rest(func(uuid, path string, raw json.RawMessage) { d.Instances[uuid] = readResident(open(raw, path, &err)) })
	}
	o.each("instance_groups", func(path string, raw json.RawMessage) {
		d.Groups = append(d.Groups, readGroup(open(raw, path, &err)))
	})
	o.done("hosts, instances, instance_groups")
	for _, h := range d.Hosts {
		for uuid := range h.Instances {
			if _, known := d.Instances[uuid]; !known {
				refuse(&err, "instances", []byte("without "+uuid), "an entry for each instance of host "+h.Host)
			}
		}
		if h.NumInstances > int64(len(h.Instances)) {
			refuse(&err, "hosts", []byte("with num_instances of "+h.Host+" above what it lists"), "all instances of a host")
		}
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func readResident(o *object) Resident {
	var r Resident
	if flavor := o.object("flavor"); flavor != nil {
		r.Flavor = readFlavor(flavor)
	} else {
		refuse(o.err, o.at("flavor"), []byte("absent"), "an object")
	}
	o.boolean("fixed", &r.Fixed)
	o.done("flavor, fixed")
	return r
}
