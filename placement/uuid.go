package placement

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// UUID names a provider, an aggregate or a consumer. The zero UUID means
// "none" and names nothing.
type UUID [16]byte

// ParseUUID reads the forms that OpenStack accepts: 32 hexadecimal digits in
// either case, with hyphens anywhere or nowhere, also in braces or after
// "urn:uuid:". It returns an [*InputError].
//
// Source: oslo_utils, uuidutils.is_uuid_like.
func ParseUUID(s string) (UUID, error) {
	u, ok := parseUUID(s)
	if !ok && strings.ContainsAny(s, "{}:") {
		u, ok = parseUUID(strings.Trim(strings.ReplaceAll(strings.ReplaceAll(s, "urn:", ""), "uuid:", ""), "{}"))
	}
	if !ok {
		return UUID{}, badInput("uuid", s, "32 hexadecimal digits")
	}
	return u, nil
}

func parseUUID(s string) (u UUID, ok bool) {
	digits := make([]byte, 0, 32)
	for i := range len(s) {
		if s[i] == '-' {
			continue
		}
		if len(digits) == 32 {
			return UUID{}, false
		}
		digits = append(digits, s[i])
	}
	if len(digits) != 32 {
		return UUID{}, false
	}
	_, err := hex.Decode(u[:], digits)
	return u, err == nil
}

// MustUUID is ParseUUID for constants in examples and tests: it panics on a
// malformed s.
func MustUUID(s string) UUID {
	u, err := ParseUUID(s)
	if err != nil {
		panic(err) //nolint:forbidigo // for literals only, like regexp.MustCompile
	}
	return u
}

// IsZero reports whether u names nothing.
func (u UUID) IsZero() bool { return u == UUID{} }

// String returns the lower-case form with hyphens.
func (u UUID) String() string {
	b, _ := u.MarshalText()
	return string(b)
}

// MarshalText returns the lower-case form with hyphens.
func (u UUID) MarshalText() ([]byte, error) {
	b := make([]byte, 36)
	hex.Encode(b, u[:4])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	hex.Encode(b[9:], u[4:6])
	hex.Encode(b[14:], u[6:8])
	hex.Encode(b[19:], u[8:10])
	hex.Encode(b[24:], u[10:])
	return b, nil
}

// UnmarshalText reads what [ParseUUID] reads.
func (u *UUID) UnmarshalText(b []byte) error {
	v, err := ParseUUID(string(b))
	if err != nil {
		return fmt.Errorf("unmarshal: %w", err)
	}
	*u = v
	return nil
}

func compareUUIDs(a, b UUID) int { return slices.Compare(a[:], b[:]) }
