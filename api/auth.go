package api

import (
	"net/http"
	"strings"
)

// Identity is who makes a request.
type Identity struct {
	User        string
	Project     string // "": not scoped to a project
	Roles       []string
	SystemScope string // "all": scoped to the whole system
	Domain      string // "": not scoped to a domain
}

// HasRole reports whether the identity has a role, whatever its case.
func (i *Identity) HasRole(role string) bool {
	for _, r := range i.Roles {
		if strings.EqualFold(r, role) {
			return true
		}
	}
	return false
}

// Authenticator finds out who makes a request. Safe for concurrent use.
type Authenticator interface {
	// Authenticate returns an [*Error] with status 401 for nobody known, or
	// 503 when that cannot be found out now.
	Authenticate(r *http.Request) (Identity, error)
}

// NoAuth believes every token: USER or USER:PROJECT. User admin has the role
// admin, and so has notused, the token of clients that are told to use no
// authentication. The headers X-Roles and X-Project-Id replace the roles and
// the project, and OpenStack-System-Scope takes the token's project away.
//
// Source: placement, auth.py, NoAuthMiddleware; keystoneauth1, noauth.
type NoAuth struct{}

var _ Authenticator = NoAuth{}

// Authenticate reads the token of r.
func (NoAuth) Authenticate(r *http.Request) (Identity, error) {
	tokens, sent := r.Header["X-Auth-Token"]
	if !sent {
		return Identity{}, &Error{Status: http.StatusUnauthorized, Outside: true}
	}
	user, project, _ := strings.Cut(tokens[0], ":")
	who := Identity{User: user, Project: project, SystemScope: r.Header.Get("Openstack-System-Scope")}
	if who.Project == "" {
		who.Project = user
	}
	if who.SystemScope != "" {
		who.Project = ""
	}
	if given := r.Header.Get("X-Project-Id"); given != "" {
		who.Project = given
	}
	if roles, given := r.Header["X-Roles"]; given {
		for role := range strings.SplitSeq(strings.Join(roles, ","), ",") {
			who.Roles = append(who.Roles, strings.TrimSpace(role))
		}
	} else if user == "admin" || user == "notused" {
		who.Roles = adminRoles
	}
	return who, nil
}

var adminRoles = []string{"admin"}
