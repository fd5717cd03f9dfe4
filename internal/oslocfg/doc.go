// Package oslocfg reads configuration files in the form of oslo.config, so
// that placement.conf and nova.conf go on to work.
//
// A [Config] is what one or more files say. Its getters take the default and
// the rule; what is wrong is collected and reported together by [Config.Err],
// each with file, line, section, option, value and what is allowed. Options
// that nobody asked for are in [Config.Unknown].
//
//	cfg, err := oslocfg.Read("/etc/placement/placement.conf")
//	limit := cfg.Int("placement", "max_allocation_candidates", -1, -1)
//	if err := cfg.Err(); err != nil {
//		...
//	}
//
// A Config is not safe for concurrent use.
package oslocfg
