package moving

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
)

// Difference is one thing that two worlds do not agree on.
type Difference struct {
	Kind    string `json:"kind"`    // resource class, trait, resource provider, consumer, attachment
	Subject string `json:"subject"` // its name or UUID
	Field   string `json:"field"`   // "": one of the two does not have it
	From    string `json:"from"`    // value in the first world, "absent" when it is not there
	To      string `json:"to"`      // value in the second
}

const absent, present = "absent", "present"

const (
	kindClass      = "resource class"
	kindTrait      = "trait"
	kindProvider   = "resource provider"
	kindConsumer   = "consumer"
	kindAttachment = "attachment"
)

// Compare lists what the worlds from and to do not agree on, in a fixed order.
// Times are compared to the second, and only where both are known.
func Compare(from, to *World) []Difference {
	var d differences
	d.names(kindClass, from.Classes, to.Classes)
	d.names(kindTrait, from.Traits, to.Traits)
	for _, u := range sortedKeys(union(from.Providers, to.Providers)) {
		a, inFrom := from.Providers[u]
		b, inTo := to.Providers[u]
		if d.both(kindProvider, u.String(), inFrom, inTo) {
			d.provider(&a, &b)
		}
	}
	for _, u := range sortedKeys(union(from.Consumers, to.Consumers)) {
		a, inFrom := from.Consumers[u]
		b, inTo := to.Consumers[u]
		if d.both(kindConsumer, u.String(), inFrom, inTo) {
			d.consumer(&a, &b)
		}
	}
	d.attachments(from.Attachments, to.Attachments)
	return d
}

func union[V any](a, b map[placement.UUID]V) map[placement.UUID]struct{} {
	all := make(map[placement.UUID]struct{}, len(a))
	for u := range a {
		all[u] = struct{}{}
	}
	for u := range b {
		all[u] = struct{}{}
	}
	return all
}

type differences []Difference

func (d *differences) names(kind string, from, to []string) {
	for _, n := range from {
		d.both(kind, n, true, slices.Contains(to, n))
	}
	for _, n := range to {
		d.both(kind, n, slices.Contains(from, n), true)
	}
}

// both reports whether both worlds have the subject, and notes when only one
// has it.
func (d *differences) both(kind, subject string, inFrom, inTo bool) bool {
	word := map[bool]string{true: present, false: absent}
	if inFrom != inTo {
		*d = append(*d, Difference{Kind: kind, Subject: subject, From: word[inFrom], To: word[inTo]})
	}
	return inFrom && inTo
}

func (d *differences) field(kind string, subject placement.UUID, field string, from, to any) {
	if !reflect.DeepEqual(from, to) {
		*d = append(*d, Difference{kind, subject.String(), field, fmt.Sprint(from), fmt.Sprint(to)})
	}
}

// times compares to the second, which is what a server tells.
func (d *differences) times(kind string, subject placement.UUID, field string, from, to time.Time) {
	if from.IsZero() || to.IsZero() {
		return
	}
	d.field(kind, subject, field, from.UTC().Truncate(time.Second), to.UTC().Truncate(time.Second))
}

func (d *differences) provider(from, to *placement.ProviderRecord) {
	u := from.UUID
	d.field(kindProvider, u, "name", from.Name, to.Name)
	d.field(kindProvider, u, "parent_provider_uuid", from.Parent, to.Parent)
	d.field(kindProvider, u, "generation", from.Generation, to.Generation)
	d.times(kindProvider, u, "created", from.CreatedAt, to.CreatedAt)
	d.times(kindProvider, u, "updated", from.UpdatedAt, to.UpdatedAt)
	a, b := inventories(from), inventories(to)
	for _, class := range classes(from, to) {
		x, inFrom := a[class]
		y, inTo := b[class]
		switch {
		case inFrom && inTo:
			d.field(kindProvider, u, "inventory of "+class, x, y)
		case inFrom:
			d.field(kindProvider, u, "inventory of "+class, any(x), absent)
		default:
			d.field(kindProvider, u, "inventory of "+class, absent, any(y))
		}
	}
	d.field(kindProvider, u, "traits", append([]string{}, from.Traits...), append([]string{}, to.Traits...))
	d.field(kindProvider, u, "aggregates", append([]placement.UUID{}, from.Aggregates...), append([]placement.UUID{}, to.Aggregates...))
}

func inventories(p *placement.ProviderRecord) map[string]placement.Inventory {
	m := make(map[string]placement.Inventory, len(p.Inventories))
	for _, i := range p.Inventories {
		m[i.Class] = i.Inventory
	}
	return m
}

func classes(a, b *placement.ProviderRecord) []string {
	var names []string
	for _, i := range slices.Concat(a.Inventories, b.Inventories) {
		names = append(names, i.Class)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (d *differences) consumer(from, to *placement.ConsumerRecord) {
	u := from.UUID
	d.field(kindConsumer, u, "project_id", from.Project, to.Project)
	d.field(kindConsumer, u, "user_id", from.User, to.User)
	d.field(kindConsumer, u, "consumer_type", from.Type, to.Type)
	d.field(kindConsumer, u, "consumer_generation", from.Generation, to.Generation)
	d.times(kindConsumer, u, "created", from.CreatedAt, to.CreatedAt)
	d.times(kindConsumer, u, "updated", from.UpdatedAt, to.UpdatedAt)
	d.field(kindConsumer, u, "allocations", from.Allocations, to.Allocations)
}

func (d *differences) attachments(from, to []placement.Attachment) {
	values := func(list []placement.Attachment) map[string]string {
		m := map[string]string{}
		for _, a := range list {
			m[a.Key] = string(a.Value)
		}
		return m
	}
	a, b := values(from), values(to)
	for _, list := range [][]placement.Attachment{from, to} {
		for _, x := range list {
			va, inA := a[x.Key]
			vb, inB := b[x.Key]
			if d.both(kindAttachment, x.Key, inA, inB) && va != vb {
				*d = append(*d, Difference{kindAttachment, x.Key, "value", fmt.Sprintf("%q", va), fmt.Sprintf("%q", vb)})
			}
			delete(a, x.Key)
			delete(b, x.Key)
		}
	}
}
