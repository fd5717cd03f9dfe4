package intent

import "github.com/kilonova-cloud/kilonova/store"

// WrapEager is Wrap for a store that writes every batch of at least changes
// changes as an intent, if it can.
func WrapEager(inner store.Store, cfg Config, changes int) *Store {
	s := Wrap(inner, cfg)
	s.eager = changes
	return s
}
