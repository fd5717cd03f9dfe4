// Package cells keeps which cell everything is in: cell mappings with their
// databases and brokers, host mappings and instance mappings.
//
// A [Mapper] works on an API database ([apidb.DB]) and opens the databases of
// cells ([celldb.DB]) where it must look into one. [Resolve] fills in URLs that
// are templates. Everything that nova-manage cell_v2 does is a method, so a
// program can do it without a shell; what Nova answers by an exit code is an
// error here. To send calls to the cells that are mapped, use cells/router.
//
// A Mapper is safe for concurrent use, and any number of them may work on one
// API database that is shared.
//
//	m, err := cells.New(cells.Config{API: api, Open: open, Base: cells.Addresses{Database: "etcd://...", Transport: "rabbit://..."}})
//	err = m.CreateCell(ctx, apidb.CellMapping{UUID: uuid, Name: "east", Database: "etcd://...", Transport: "rabbit://..."})
//	hosts, err := m.DiscoverHosts(ctx, cells.Discovery{})
package cells
