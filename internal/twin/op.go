package twin

import (
	"context"
	"fmt"

	"github.com/kilonova-cloud/kilonova/placement"
)

// OpKind says which write an [Op] is.
type OpKind string

// The writes of the model, named like the methods of World.
const (
	OpCreateProvider    OpKind = "CreateProvider"
	OpUpdateProvider    OpKind = "UpdateProvider"
	OpDeleteProvider    OpKind = "DeleteProvider"
	OpSetInventories    OpKind = "SetInventories"
	OpSetTraits         OpKind = "SetTraits"
	OpSetAggregates     OpKind = "SetAggregates"
	OpCreateClass       OpKind = "CreateClass"
	OpDeleteClass       OpKind = "DeleteClass"
	OpCreateTrait       OpKind = "CreateTrait"
	OpDeleteTrait       OpKind = "DeleteTrait"
	OpSetAllocations    OpKind = "SetAllocations"
	OpDeleteAllocations OpKind = "DeleteAllocations"
	OpReshape           OpKind = "Reshape"
)

// Op is one write as a value. Only the fields that the write takes are set.
type Op struct {
	Kind        OpKind
	UUID        placement.UUID                 // of the provider or consumer
	Generation  placement.Generation           // of the provider
	Provider    placement.Provider             // CreateProvider
	Update      placement.ProviderUpdate       // UpdateProvider
	Inventories map[string]placement.Inventory // SetInventories
	Traits      []string                       // SetTraits
	Aggregates  []placement.UUID               // SetAggregates
	Name        string                         // of the class or trait
	Reshape     []placement.InventoryWrite     // Reshape
	Write       placement.AllocationWrite      // SetAllocations and Reshape
}

// String shows what a failing test needs to repeat the write by hand.
func (op Op) String() string {
	switch op.Kind {
	case OpCreateProvider:
		return fmt.Sprintf("%s(%s %s under %s)", op.Kind, op.Provider.UUID, op.Provider.Name, op.Provider.Parent)
	case OpUpdateProvider:
		return fmt.Sprintf("%s(%s, name %s, parent %s, reparent %v)", op.Kind, op.UUID,
			deref(op.Update.Name), deref(op.Update.Parent), op.Update.AllowReparenting)
	case OpSetInventories:
		return fmt.Sprintf("%s(%s at %d, %+v)", op.Kind, op.UUID, op.Generation, op.Inventories)
	case OpSetTraits:
		return fmt.Sprintf("%s(%s at %d, %v)", op.Kind, op.UUID, op.Generation, op.Traits)
	case OpSetAggregates:
		return fmt.Sprintf("%s(%s at %d, %v)", op.Kind, op.UUID, op.Generation, op.Aggregates)
	case OpCreateClass, OpDeleteClass, OpCreateTrait, OpDeleteTrait:
		return fmt.Sprintf("%s(%s)", op.Kind, op.Name)
	case OpSetAllocations:
		return fmt.Sprintf("%s(%+v)", op.Kind, op.Write.Consumers)
	case OpReshape:
		return fmt.Sprintf("%s(%+v, %+v)", op.Kind, op.Reshape, op.Write.Consumers)
	case OpDeleteProvider, OpDeleteAllocations:
	}
	return fmt.Sprintf("%s(%s)", op.Kind, op.UUID)
}

func deref[T any](p *T) any {
	if p == nil {
		return "unchanged"
	}
	return *p
}

// Apply does the write that op describes.
func (w *World) Apply(op Op) error {
	var err error
	switch op.Kind {
	case OpCreateProvider:
		_, err = w.CreateProvider(op.Provider)
	case OpUpdateProvider:
		_, err = w.UpdateProvider(op.UUID, op.Update)
	case OpDeleteProvider:
		err = w.DeleteProvider(op.UUID)
	case OpSetInventories:
		err = w.SetInventories(op.UUID, op.Inventories, op.Generation)
	case OpSetTraits:
		err = w.SetTraits(op.UUID, op.Traits, op.Generation)
	case OpSetAggregates:
		err = w.SetAggregates(op.UUID, op.Aggregates, op.Generation)
	case OpCreateClass:
		_, err = w.CreateClass(op.Name)
	case OpDeleteClass:
		err = w.DeleteClass(op.Name)
	case OpCreateTrait:
		_, err = w.CreateTrait(op.Name)
	case OpDeleteTrait:
		err = w.DeleteTrait(op.Name)
	case OpSetAllocations:
		err = w.SetAllocations(op.Write)
	case OpDeleteAllocations:
		err = w.DeleteAllocations(op.UUID)
	case OpReshape:
		err = w.Reshape(op.Reshape, op.Write)
	}
	return err
}

// To applies op to an engine.
func (op Op) To(ctx context.Context, e *placement.Engine) error {
	var err error
	switch op.Kind {
	case OpCreateProvider:
		_, err = e.CreateProvider(ctx, op.Provider)
	case OpUpdateProvider:
		_, err = e.UpdateProvider(ctx, op.UUID, op.Update)
	case OpDeleteProvider:
		err = e.DeleteProvider(ctx, op.UUID)
	case OpSetInventories:
		_, err = e.SetInventories(ctx, op.UUID, op.Inventories, op.Generation)
	case OpSetTraits:
		_, err = e.SetTraits(ctx, op.UUID, op.Traits, op.Generation)
	case OpSetAggregates:
		_, err = e.SetAggregates(ctx, op.UUID, op.Aggregates, op.Generation)
	case OpCreateClass:
		_, err = e.CreateClass(ctx, op.Name)
	case OpDeleteClass:
		err = e.DeleteClass(ctx, op.Name)
	case OpCreateTrait:
		_, err = e.CreateTrait(ctx, op.Name)
	case OpDeleteTrait:
		err = e.DeleteTrait(ctx, op.Name)
	case OpSetAllocations:
		err = e.SetAllocations(ctx, op.Write)
	case OpDeleteAllocations:
		err = e.DeleteAllocations(ctx, op.UUID)
	case OpReshape:
		err = e.Reshape(ctx, op.Reshape, op.Write)
	}
	return err
}
