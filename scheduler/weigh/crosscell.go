package weigh

import "github.com/kilonova-cloud/kilonova/scheduler"

// crossCell prefers hosts in the cell where an instance is, when it may move
// to other cells.
//
// Source: nova, scheduler/weights/cross_cell.py, CrossCellWeigher.
type crossCell struct{ hostOnly }

func newCrossCell(o *scheduler.Options) scheduler.Weigher {
	return &crossCell{hostOnly{
		name: "CrossCellWeigher", reads: scheduler.ReadsHost | scheduler.ReadsRequest,
		multiplier: scheduler.Multiplier{Value: o.CrossCellMoveWeightMultiplier, Key: "cross_cell_move_weight_multiplier"},
	}}
}

// Idle reports that the request prefers no cell.
func (*crossCell) Idle(s *scheduler.RequestSpec) bool {
	return s.Destination == nil || s.Destination.Cell == "" || !s.Destination.AllowCrossCellMove
}

// Weigh gives 1 to hosts of the preferred cell and -1 to others.
func (w *crossCell) Weigh(r *scheduler.Request, hosts []*scheduler.HostState, raw []float64) error {
	idle := w.Idle(r.Spec)
	for i, h := range hosts {
		switch {
		case idle:
			raw[i] = 0
		case h.Cell == r.Spec.Destination.Cell:
			raw[i] = 1
		default:
			raw[i] = -1
		}
	}
	return nil
}
