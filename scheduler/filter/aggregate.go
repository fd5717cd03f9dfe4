package filter

import (
	"iter"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// metadata yields the values that a host's aggregates give a key: cut at
// commas, and stripped. A value may come more than once.
//
// Source: nova, scheduler/filters/utils.py, aggregate_metadata_get_by_host.
func metadata(h *scheduler.HostState, key string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range h.Aggregates {
			text, has := h.Aggregates[i].Metadata[key]
			if !has {
				continue
			}
			for part := range strings.SplitSeq(text, ",") {
				if !yield(pyvalue.Strip(part)) {
					return
				}
			}
		}
	}
}

// leastOf returns the least integer that a host's aggregates give a key, or
// def when none does or one of them is no integer.
//
// Source: nova, scheduler/filters/utils.py, validate_num_values.
func leastOf(h *scheduler.HostState, key string, def int64) int64 {
	least, found := def, false
	for i := range h.Aggregates {
		text, has := h.Aggregates[i].Metadata[key]
		if !has {
			continue
		}
		n, ok := pyvalue.ParseInt(text)
		if !ok {
			return def
		}
		if !found || n < least {
			least, found = n, true
		}
	}
	return least
}
