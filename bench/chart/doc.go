// Package chart draws what bench measured, as SVG or PNG.
//
// [Curve] draws the shares of a cluster that were allocated against the share
// of its GPUs that was requested; [SideBySide] what two contestants needed.
//
//	err := chart.Curve(file, "svg", report)
package chart
