package pyvalue

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrVersion is what a text that is no version, or no condition on one, is
// refused with.
var ErrVersion = errors.New("not a version")

// Version is a version as PEP 440 has them.
type Version struct {
	epoch   string
	release []string // numbers, without zeros at the end
	pre     phase    // rank -1: before every pre-release, 1: after
	post    phase    // rank -1: none
	dev     phase    // rank 1: none
	local   []string // nil: none
}

// phase is one of the segments behind the release. Those of rank 0 are ordered
// by word and number.
type phase struct {
	rank         int
	word, number string
}

func (p phase) compare(q phase) int {
	return cmp.Or(cmp.Compare(p.rank, q.rank), cmp.Compare(p.word, q.word), compareDigits(p.number, q.number))
}

var versionForm = regexp.MustCompile(`(?i)^v?` +
	`(?:([0-9]+)!)?` + // epoch
	`([0-9]+(?:\.[0-9]+)*)` + // release
	`(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?([0-9]+)?)?` + // before the release
	`(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]+)?)?` + // after it
	`(?:[-_.]?(dev)[-_.]?([0-9]+)?)?` + // in development
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`) // local

// ParseVersion reads a version. It returns [ErrVersion].
//
// Source: packaging, version.py, Version and _cmpkey.
func ParseVersion(s string) (Version, error) {
	m := versionForm.FindStringSubmatch(Strip(s))
	if m == nil {
		return Version{}, fmt.Errorf("%q: %w", s, ErrVersion)
	}
	v := Version{
		epoch: digits(m[1]), release: strings.Split(m[2], "."),
		pre: phase{rank: 1}, post: phase{rank: -1}, dev: phase{rank: 1},
	}
	for i := range v.release {
		v.release[i] = digits(v.release[i])
	}
	for len(v.release) > 0 && v.release[len(v.release)-1] == "" {
		v.release = v.release[:len(v.release)-1]
	}
	if m[5] != "" || m[6] != "" {
		v.post = phase{number: digits(m[5] + m[7])}
	}
	if m[8] != "" {
		v.dev = phase{number: digits(m[9])}
	}
	switch {
	case m[3] != "":
		v.pre = phase{word: preWord(m[3]), number: digits(m[4])}
	case v.post.rank != 0 && v.dev.rank == 0:
		v.pre.rank = -1
	}
	if m[10] != "" {
		v.local = strings.FieldsFunc(strings.ToLower(m[10]), func(r rune) bool { return strings.ContainsRune("-_.", r) })
	}
	return v, nil
}

// VersionOfInt returns the version that an integer such as 7002000 stands for,
// 7.2.0.
//
// Source: oslo.utils, versionutils.py, convert_version_to_str.
func VersionOfInt(n int64) Version {
	v := Version{pre: phase{rank: 1}, post: phase{rank: -1}, dev: phase{rank: 1}}
	for ; n > 0; n /= 1000 {
		if part := digits(strconv.FormatInt(n%1000, 10)); part != "" || len(v.release) > 0 {
			v.release = append(v.release, part)
		}
	}
	slices.Reverse(v.release)
	return v
}

// Compare orders v and w: -1, 0 or 1.
func (v Version) Compare(w Version) int {
	return cmp.Or(
		compareDigits(v.epoch, w.epoch),
		slices.CompareFunc(v.release, w.release, compareDigits),
		v.pre.compare(w.pre), v.post.compare(w.post), v.dev.compare(w.dev),
		slices.CompareFunc(v.local, w.local, compareLocal),
	)
}

// preWord returns the usual name of a kind of pre-release.
func preWord(s string) string {
	switch s = strings.ToLower(s); s {
	case "alpha":
		return "a"
	case "beta":
		return "b"
	case "c", "pre", "preview":
		return "rc"
	default:
		return s
	}
}

// digits returns a number without its leading zeros; 0 and no number are "".
func digits(s string) string { return strings.TrimLeft(s, "0") }

func compareDigits(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// compareLocal orders parts of a local version: words before numbers.
func compareLocal(a, b string) int {
	aNumber, bNumber := countDigits(a) == len(a), countDigits(b) == len(b)
	switch {
	case aNumber && bNumber:
		return compareDigits(digits(a), digits(b))
	case aNumber:
		return 1
	case bNumber:
		return -1
	default:
		return cmp.Compare(a, b)
	}
}

// VersionPredicate is a list of conditions on a version, such as >=6.0,<7.2.
type VersionPredicate []versionCondition

type versionCondition struct {
	operator string
	version  Version
}

// ParseVersionPredicate reads conditions. It returns [ErrVersion].
//
// Source: oslo.utils, versionutils.py, VersionPredicate.
func ParseVersionPredicate(s string) (VersionPredicate, error) {
	var p VersionPredicate
	for part := range strings.SplitSeq(s, ",") {
		part = Strip(part)
		i := slices.IndexFunc(versionOperators, func(op string) bool { return strings.HasPrefix(part, op) })
		if i < 0 {
			return nil, fmt.Errorf("%q: %w", s, ErrVersion)
		}
		op := versionOperators[i]
		text := Strip(part[len(op):])
		if strings.ContainsFunc(text, IsSpace) {
			return nil, fmt.Errorf("%q: %w", s, ErrVersion)
		}
		v, err := ParseVersion(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		p = append(p, versionCondition{op, v})
	}
	return p, nil
}

// versionOperators are the operators, longer ones first.
var versionOperators = []string{"<=", ">=", "<", ">", "!=", "=="}

// Holds reports whether v meets all conditions.
func (p VersionPredicate) Holds(v Version) bool {
	for i := range p {
		if !Ordered(p[i].operator, v.Compare(p[i].version)) {
			return false
		}
	}
	return true
}

// Ordered reports whether two values whose comparison gave order (-1, 0 or 1)
// are in the relation of a comparison operator.
func Ordered(operator string, order int) bool {
	switch operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case "==":
		return order == 0
	case "!=":
		return order != 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	default:
		return false
	}
}
