package apidb

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// Cell0 is the UUID of the cell that holds instances that never got a host. It
// has a database, and neither computes nor a broker.
//
// Source: nova, objects/cell_mapping.py, CellMapping.CELL0_UUID.
const Cell0 = "00000000-0000-0000-0000-000000000000"

// CellMapping says where a cell is.
//
// Source: nova, db/api/models.py, CellMapping.
type CellMapping struct {
	UUID string
	Name string // for people; "" for none
	// Transport and Database are URLs, or templates of URLs. They may hold
	// passwords.
	Transport, Database string
	Disabled            bool // gets no new instances
	Closed              bool // gets no new mappings, because it is being deleted
	newer               []byte
}

// String returns name and UUID, and no URL.
func (c CellMapping) String() string { return c.Name + " (" + c.UUID + ")" }

// GoString is String, so that no verb of fmt prints a URL.
func (c CellMapping) GoString() string { return c.String() }

// LogValue is String, so that no log holds a URL.
func (c CellMapping) LogValue() slog.Value { return slog.StringValue(c.String()) }

// HostMapping says which cell a host is in.
//
// Source: nova, db/api/models.py, HostMapping.
type HostMapping struct {
	Host, Cell string // Cell is a UUID
	newer      []byte
}

// InstanceMapping says which cell an instance is in.
//
// Source: nova, db/api/models.py, InstanceMapping.
type InstanceMapping struct {
	UUID            string
	Cell            string // a UUID; "" until the instance is scheduled
	Project, User   string
	QueuedForDelete bool
	Created         time.Time // of the instance
	newer           []byte
}

// The names of columns, for queries. The primary keys are [table.Key].
const (
	Cell            = "cell"
	Project         = "project"
	User            = "user"
	Created         = "created"
	QueuedForDelete = "queued_for_delete"
)

func newCells() *table.Table[CellMapping] {
	return table.New(table.Spec[CellMapping]{
		Name: cellMappings, Kind: 1,
		Key: func(c *CellMapping) string { return c.UUID },
		Encode: func(c *CellMapping) []byte {
			var e table.Encoder
			for _, text := range []string{c.UUID, c.Name, c.Transport, c.Database} {
				e.Text(text)
			}
			e.Bool(c.Disabled)
			e.Bool(c.Closed)
			e.Rest(c.newer)
			return e.Bytes()
		},
		Decode: func(d *table.Decoder) CellMapping {
			return CellMapping{d.Text(), d.Text(), d.Text(), d.Text(), d.Bool(), d.Bool(), d.Rest()}
		},
	})
}

func newHosts() *table.Table[HostMapping] {
	return table.New(table.Spec[HostMapping]{
		Name: "host_mappings", Kind: 2,
		Key: func(h *HostMapping) string { return h.Host },
		Encode: func(h *HostMapping) []byte {
			var e table.Encoder
			e.Text(h.Host)
			e.Text(h.Cell)
			e.Rest(h.newer)
			return e.Bytes()
		},
		Decode: func(d *table.Decoder) HostMapping {
			return HostMapping{d.Text(), d.Name(), d.Rest()}
		},
		Columns: []table.Column[HostMapping]{{Name: Cell, Value: func(h *HostMapping) string { return table.Text(h.Cell) }}},
		Indexes: [][]table.Sort{{{Column: Cell}}},
	})
}

const instanceKind store.Kind = 3

// encode makes a record of a mapping.
func (m *InstanceMapping) encode() []byte {
	var e table.Encoder
	for _, text := range []string{m.UUID, m.Cell, m.Project, m.User} {
		e.Text(text)
	}
	e.Bool(m.QueuedForDelete)
	e.Time(m.Created)
	e.Rest(m.newer)
	return e.Bytes()
}

func newInstances() *table.Table[InstanceMapping] {
	return table.New(table.Spec[InstanceMapping]{
		Name: "instance_mappings", Kind: instanceKind,
		Key:    func(m *InstanceMapping) string { return m.UUID },
		Encode: (*InstanceMapping).encode,
		Decode: func(d *table.Decoder) InstanceMapping {
			return InstanceMapping{d.Text(), d.Name(), d.Name(), d.Name(), d.Bool(), d.Time(), d.Rest()}
		},
		Columns: []table.Column[InstanceMapping]{
			{Name: Cell, Value: func(m *InstanceMapping) string { return table.Text(m.Cell) }},
			{Name: Project, Value: func(m *InstanceMapping) string { return table.Text(m.Project) }},
			{Name: User, Value: func(m *InstanceMapping) string { return table.Text(m.User) }},
			{Name: Created, Value: func(m *InstanceMapping) string { return table.Time(m.Created) }},
			{Name: QueuedForDelete, Value: func(m *InstanceMapping) string { return table.Bool(m.QueuedForDelete) }},
		},
		Indexes: [][]table.Sort{{{Column: Project}, {Column: Created}}, {{Column: Cell}, {Column: Project}, {Column: Created}}},
	})
}

// Mark remembers how far something has come that is done a part at a time.
type Mark struct {
	Name    string // of what is done
	Key     string // of the last row that is done
	Created time.Time
	Count   int64
	newer   []byte
}

func newMarks() *table.Table[Mark] {
	return table.New(table.Spec[Mark]{
		Name: "marks", Kind: 4,
		Key: func(m *Mark) string { return m.Name },
		Encode: func(m *Mark) []byte {
			var e table.Encoder
			e.Text(m.Name)
			e.Text(m.Key)
			e.Time(m.Created)
			e.Int(m.Count)
			e.Rest(m.newer)
			return e.Bytes()
		},
		Decode: func(d *table.Decoder) Mark {
			return Mark{d.Text(), d.Text(), d.Time(), d.Int(), d.Rest()}
		},
	})
}

// TakenError says that another cell has the database or the transport.
type TakenError struct{ Cell string } // a UUID

// Error names the other cell and no URL.
func (e *TakenError) Error() string {
	return fmt.Sprintf("database or transport is that of cell %s, each cell has its own", e.Cell)
}
