package celldb

import (
	"time"

	"github.com/kilonova-cloud/kilonova/store/table"
)

// ComputeBinary is the binary of the services that run instances.
const ComputeBinary = "nova-compute"

// Service is a process that reports to the cell.
//
// Source: nova, db/main/models.py, Service.
type Service struct {
	UUID         string
	Host, Binary string
	Deleted      time.Time // zero: it is there
	newer        []byte
}

// ComputeNode is a hypervisor.
//
// Source: nova, db/main/models.py, ComputeNode.
type ComputeNode struct {
	UUID    string
	Host    string // of the service that runs it
	Node    string // its own name
	Mapped  bool   // its host has been mapped to the cell
	Deleted time.Time
	newer   []byte
}

// Instance is a server.
//
// Source: nova, db/main/models.py, Instance.
type Instance struct {
	UUID          string
	Project, User string
	Host, Node    string // "" while it is nowhere
	Created       time.Time
	Deleted       time.Time
	newer         []byte
}

// The names of columns, for queries. The primary keys are [table.Key].
const (
	Host    = "host"
	Binary  = "binary"
	Mapped  = "mapped"
	Project = "project"
	Created = "created"
	Deleted = "deleted"
)

func newServices() *table.Table[Service] {
	return table.New(table.Spec[Service]{
		Name: "services", Kind: 1,
		Key: func(s *Service) string { return s.UUID },
		Encode: func(s *Service) []byte {
			var e table.Encoder
			for _, text := range []string{s.UUID, s.Host, s.Binary} {
				e.Text(text)
			}
			e.Time(s.Deleted)
			e.Rest(s.newer)
			return e.Bytes()
		},
		Decode: func(d *table.Decoder) Service {
			return Service{d.Text(), d.Text(), d.Name(), d.Time(), d.Rest()}
		},
		Columns: []table.Column[Service]{
			{Name: Host, Value: func(s *Service) string { return table.Text(s.Host) }},
			{Name: Binary, Value: func(s *Service) string { return table.Text(s.Binary) }},
		},
		Indexes: [][]table.Sort{{{Column: Binary}, {Column: Host}}},
	})
}

func newNodes() *table.Table[ComputeNode] {
	return table.New(table.Spec[ComputeNode]{
		Name: "compute_nodes", Kind: 2,
		Key: func(n *ComputeNode) string { return n.UUID },
		Encode: func(n *ComputeNode) []byte {
			var e table.Encoder
			for _, text := range []string{n.UUID, n.Host, n.Node} {
				e.Text(text)
			}
			e.Bool(n.Mapped)
			e.Time(n.Deleted)
			e.Rest(n.newer)
			return e.Bytes()
		},
		Decode: func(d *table.Decoder) ComputeNode {
			return ComputeNode{d.Text(), d.Text(), d.Text(), d.Bool(), d.Time(), d.Rest()}
		},
		Columns: []table.Column[ComputeNode]{
			{Name: Host, Value: func(n *ComputeNode) string { return table.Text(n.Host) }},
			{Name: Mapped, Value: func(n *ComputeNode) string { return table.Bool(n.Mapped) }},
		},
		Indexes: [][]table.Sort{{{Column: Host}}, {{Column: Mapped}, {Column: Host}}},
	})
}

func newInstances() *table.Table[Instance] {
	return table.New(table.Spec[Instance]{
		Name: "instances", Kind: 3,
		Key: func(i *Instance) string { return i.UUID },
		Encode: func(i *Instance) []byte {
			var e table.Encoder
			for _, text := range []string{i.UUID, i.Project, i.User, i.Host, i.Node} {
				e.Text(text)
			}
			e.Time(i.Created)
			e.Time(i.Deleted)
			e.Rest(i.newer)
			return e.Bytes()
		},
		Decode: func(d *table.Decoder) Instance {
			return Instance{d.Text(), d.Name(), d.Name(), d.Name(), d.Name(), d.Time(), d.Time(), d.Rest()}
		},
		Columns: []table.Column[Instance]{
			{Name: Host, Value: func(i *Instance) string { return table.Text(i.Host) }},
			{Name: Project, Value: func(i *Instance) string { return table.Text(i.Project) }},
			{Name: Created, Value: func(i *Instance) string { return table.Time(i.Created) }},
			{Name: Deleted, Value: func(i *Instance) string { return table.Bool(!i.Deleted.IsZero()) }},
		},
		Indexes: [][]table.Sort{
			{{Column: Created}},
			{{Column: Deleted}, {Column: Host}},
			{{Column: Project}, {Column: Created}},
		},
	})
}
