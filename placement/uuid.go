package placement

import (
	"encoding/hex"
	"fmt"
	"slices"
)

// UUID names a provider, an aggregate or a consumer. The zero UUID means
// "none" and names nothing.
type UUID [16]byte

// ParseUUID reads the forms that OpenStack accepts: 32 hexadecimal digits in
// either case, with or without hyphens. It returns an [*InputError].
//
// Source: oslo_utils, uuidutils.is_uuid_like.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	digits := make([]byte, 0, 32)
	for i := range len(s) {
		if s[i] != '-' {
			digits = append(digits, s[i])
		}
	}
	if len(digits) != 32 {
		return UUID{}, badInput("uuid", s, "32 hexadecimal digits")
	}
	if _, err := hex.Decode(u[:], digits); err != nil {
		return UUID{}, badInput("uuid", s, "32 hexadecimal digits")
	}
	return u, nil
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
