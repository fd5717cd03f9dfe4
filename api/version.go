package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// VersionHeader is the header of requests and responses that carries a
// microversion.
const VersionHeader = "Openstack-Api-Version"

// Version is a microversion.
type Version struct{ Major, Minor int }

// String is the form of headers: 1.39.
func (v Version) String() string { return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) }

// AtLeast reports whether v is minor or newer, within its major version.
func (v Version) AtLeast(minor int) bool { return v.Minor >= minor }

// Service is an API with microversions of one major version.
type Service struct {
	Type     string // as headers name it: placement, compute
	Min, Max Version
}

// Negotiate returns the version that the headers ask for: Min without a
// header for this service, Max for "latest". The error is a 400 for a
// malformed version and a 406 for one that is not offered.
//
// Source: microversion_parse, extract_version.
func (s Service) Negotiate(h http.Header) (Version, *Error) {
	asked := s.asked(strings.Join(h[VersionHeader], ","))
	switch asked {
	case "":
		return s.Min, nil
	case "latest":
		return s.Max, nil
	}
	v, err := parseVersion(asked)
	if err != nil {
		return Version{}, &Error{
			Status: http.StatusBadRequest,
			Detail: fmt.Sprintf("Invalid microversion: invalid version string: %s; %v", asked, err),
		}
	}
	if v.Major != s.Min.Major || v.Minor < s.Min.Minor || v.Minor > s.Max.Minor {
		return Version{}, &Error{
			Status: http.StatusNotAcceptable,
			Detail: "Invalid microversion: Unacceptable version header: " + asked,
		}
	}
	return v, nil
}

// asked returns what the last entry for this service says.
func (s Service) asked(header string) string {
	for header != "" {
		entry := header
		if comma := strings.LastIndexByte(header, ','); comma >= 0 {
			header, entry = header[:comma], header[comma+1:]
		} else {
			header = ""
		}
		if name, version, found := strings.Cut(strings.TrimSpace(entry), " "); found && strings.EqualFold(name, s.Type) {
			return strings.TrimSpace(version)
		}
	}
	return ""
}

func parseVersion(s string) (Version, error) {
	major, minor, _ := strings.Cut(s, ".")
	a, errMajor := strconv.Atoi(strings.TrimSpace(major))
	b, errMinor := strconv.Atoi(strings.TrimSpace(minor))
	if errMajor != nil || errMinor != nil {
		return Version{}, fmt.Errorf("want MAJOR.MINOR")
	}
	return Version{a, b}, nil
}
