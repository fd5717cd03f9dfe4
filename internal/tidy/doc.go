// Package tidy holds the repository's checks on itself: import arrows, package
// comments, file lengths, where goroutines may live, and that ARCHITECTURE.md
// names every package. It is tests only.
package tidy
