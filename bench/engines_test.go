package bench

import (
	"testing"

	"github.com/kilonova-cloud/kilonova/placement"
)

// engines returns new engines to replay on, which must all agree.
func engines(t *testing.T) map[string]testEngine {
	t.Helper()
	e, err := placement.Open(t.Context(), placement.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return map[string]testEngine{"engine": e, "twin": newFake()}
}
