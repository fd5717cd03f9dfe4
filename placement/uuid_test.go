package placement

import "testing"

func TestParseUUID(t *testing.T) {
	t.Parallel()
	const want = "0b3ed5a7-57cd-4b0e-8a59-6fe6d2d6d1f0"
	for text, right := range map[string]bool{
		want:                                   true,
		"0B3ED5A757CD4B0E8A596FE6D2D6D1F0":     true,
		"0b3e-d5a7-57cd-4b0e8a59-6fe6d2d6d1f0": true,
		"{" + want + "}":                       true,
		"urn:uuid:" + want:                     true,
		"uuid:{" + want + "}":                  true,
		"":                                     false,
		"{}":                                   false,
		want + "0":                             false,
		want[1:]:                               false,
		"g" + want[1:]:                         false,
		" " + want:                             false,
		"[" + want + "]":                       false,
		"urn:" + want[1:]:                      false,
	} {
		u, err := ParseUUID(text)
		if (err == nil) != right || right && u.String() != want {
			t.Errorf("%q: %v, %v", text, u, err)
		}
	}
}
