package moving

import (
	"context"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/api/placementclient"
	"github.com/kilonova-cloud/kilonova/placement"
)

// Lost says what an OpenStack Placement cannot be told: its API has no way to
// set them.
func Lost() []string {
	return []string{
		"generations of resource providers and consumers: the server counts its own",
		"times of creation and change: they are those of the upload",
		"attachments of claims",
	}
}

// Restorable removes from d what [Lost] speaks of.
func Restorable(d []Difference) []Difference {
	return slices.DeleteFunc(slices.Clone(d), func(x Difference) bool {
		switch x.Field {
		case "generation", "consumer_generation", "created", "updated":
			return true
		}
		return x.Kind == kindAttachment
	})
}

// Upload makes the server hold what w says, as far as its API can; what it has
// beside that stays. It writes only what differs, so it can be cut off
// anywhere and called again. Nobody else may write meanwhile.
func (r *Remote) Upload(ctx context.Context, w *World) error {
	there, err := r.Read(ctx, nil)
	if err != nil {
		return err
	}
	u := uploading{r: r, c: r.Client, w: w, there: there, roomy: roomless(w)}
	if err := u.symbols(ctx); err != nil {
		return err
	}
	x := reading{r: r}
	for _, level := range w.byDepth() {
		if err := each(ctx, r.workers(), level, x.steps("resource providers", len(level)), u.provider); err != nil {
			return err
		}
	}
	consumers := sortedKeys(w.Consumers)
	if err := each(ctx, r.workers(), consumers, x.steps("consumers", len(consumers)), u.consumer); err != nil {
		return err
	}
	return each(ctx, r.workers(), sortedKeys(u.roomy), x.steps("inventories", len(u.roomy)), u.inventories)
}

type uploading struct {
	r     *Remote
	c     *placementclient.Client
	w     *World
	there *World
	roomy map[placement.UUID]struct{} // providers that get room for their allocations first
}

// roomless finds the providers whose allocations their inventories would not
// take as new ones.
func roomless(w *World) map[placement.UUID]struct{} {
	type key struct {
		provider placement.UUID
		class    string
	}
	used := map[key]int64{}
	out := map[placement.UUID]struct{}{}
	inv := map[key]placement.Inventory{}
	for u, p := range w.Providers {
		for _, i := range p.Inventories {
			inv[key{u, i.Class}] = i.Inventory
		}
	}
	for _, c := range w.Consumers {
		for _, a := range c.Allocations {
			k := key{a.Provider, a.Class}
			used[k] += a.Amount
			i := inv[k]
			if used[k] > i.Capacity() || a.Amount < i.MinUnit || a.Amount > i.MaxUnit || a.Amount%max(1, i.StepSize) != 0 {
				out[a.Provider] = struct{}{}
			}
		}
	}
	return out
}

func (u *uploading) symbols(ctx context.Context) error {
	for _, name := range u.w.Classes {
		if err := u.c.CreateClass(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range u.w.Traits {
		if err := u.c.CreateTrait(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// provider makes one provider with all that belongs to it; what is as it
// should be is left alone.
func (u *uploading) provider(ctx context.Context, uuid placement.UUID) error {
	want := u.w.Providers[uuid]
	have, known := u.there.Providers[uuid]
	if err := u.place(ctx, &want, &have, known); err != nil {
		return fmt.Errorf("provider %s: %w", uuid, err)
	}
	var d differences
	d.provider(&want, &have)
	changed := map[string]bool{}
	for _, x := range d {
		changed[x.Field] = true
	}
	if changed["traits"] {
		if _, err := u.c.SetTraits(ctx, uuid, want.Traits, placement.AnyGeneration); err != nil {
			return fmt.Errorf("traits of provider %s: %w", uuid, err)
		}
	}
	if changed["aggregates"] {
		if _, err := u.c.SetAggregates(ctx, uuid, want.Aggregates, placement.AnyGeneration); err != nil {
			return fmt.Errorf("aggregates of provider %s: %w", uuid, err)
		}
	}
	inv := inventories(&want)
	if _, roomy := u.roomy[uuid]; roomy {
		for class := range inv {
			inv[class] = placement.NewInventory(placement.MaxInt)
		}
	} else if !slices.ContainsFunc(classes(&want, &have), func(class string) bool { return changed["inventory of "+class] }) {
		return nil
	}
	if _, err := u.c.SetInventories(ctx, uuid, inv, placement.AnyGeneration); err != nil {
		return fmt.Errorf("inventories of provider %s: %w", uuid, err)
	}
	return nil
}

func (u *uploading) place(ctx context.Context, want, have *placement.ProviderRecord, known bool) error {
	if !known {
		_, err := u.c.CreateProvider(ctx, want.Provider)
		return err
	}
	if want.Name == have.Name && want.Parent == have.Parent {
		return nil
	}
	_, err := u.c.UpdateProvider(ctx, want.UUID, placement.ProviderUpdate{Name: &want.Name, Parent: &want.Parent, AllowReparenting: true})
	return err
}

func (u *uploading) consumer(ctx context.Context, uuid placement.UUID) error {
	want := u.w.Consumers[uuid]
	if have, known := u.there.Consumers[uuid]; known {
		have.Generation, have.CreatedAt, have.UpdatedAt = want.Generation, want.CreatedAt, want.UpdatedAt
		if !differs(func(d *differences) { d.consumer(&want, &have) }) {
			return nil
		}
	}
	err := u.c.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
		Consumer: uuid, Project: want.Project, User: want.User, Type: want.Type, Generation: placement.AnyGeneration, Allocations: want.Allocations,
	}}})
	if err != nil {
		return fmt.Errorf("consumer %s: %w", uuid, err)
	}
	return nil
}

// inventories gives a provider that had room its real inventories.
func (u *uploading) inventories(ctx context.Context, uuid placement.UUID) error {
	want := u.w.Providers[uuid]
	if _, err := u.c.SetInventories(ctx, uuid, inventories(&want), placement.AnyGeneration); err != nil {
		return fmt.Errorf("inventories of provider %s: %w", uuid, err)
	}
	return nil
}
