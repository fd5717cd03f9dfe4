package scheduler

import (
	"math"
	"testing"
)

// TestNumbers holds what Python 3's float() and int() answered.
func TestNumbers(t *testing.T) {
	t.Parallel()
	nan, inf, no := math.NaN(), math.Inf(1), math.Inf(-1)
	for _, c := range []struct {
		text    string
		float   float64 // no: refused
		integer float64 // nan: refused
	}{
		{"4", 4, 4},
		{" +4\t", 4, 4},
		{"-4", -4, -4},
		{"4.5", 4.5, nan},
		{".5", 0.5, nan},
		{"5.", 5, nan},
		{"1e3", 1000, nan},
		{"1E-1", 0.1, nan},
		{"1_0", 10, 10},
		{"1__0", no, nan},
		{"_1", no, nan},
		{"1_", no, nan},
		{"1_.5", no, nan},
		{"1._5", no, nan},
		{"1_0.2_5", 10.25, nan},
		{"0x10", no, nan},
		{"0b1", no, nan},
		{"1,0", no, nan},
		{"", no, nan},
		{" ", no, nan},
		{"4 4", no, nan},
		{"４", 4, 4},
		{"٣", 3, 3},
		{"१0", 10, 10},
		{"𝟘", 0, 0},
		{"𝟠", 8, 8},
		{"4\u00a0", 4, 4},
		{"\u001c4", no, nan},
		{"\u001c４", no, nan},
		{"½", no, nan},
		{"inf", inf, nan},
		{"Infinity", inf, nan},
		{"+inf", inf, nan},
		{"in", no, nan},
		{"++1", no, nan},
		{"--1", no, nan},
		{"+-1", no, nan},
		{"nan", nan, nan},
		{"-NaN", nan, nan},
		{"+nan", nan, nan},
		{"-+nan", no, nan},
		{"+-nan", no, nan},
		{"1e999", inf, nan},
		{"007", 7, 7},
		{"0_7", 7, 7},
		{"1p4", no, nan},
		{"0x1p4", no, nan},
		{"nan(1)", no, nan},
		{"infi", no, nan},
		{"-+inf", no, nan},
	} {
		got, ok := ParseFloat(c.text)
		if refused := math.IsInf(c.float, -1); ok == refused || ok && got != c.float && !(math.IsNaN(got) && math.IsNaN(c.float)) {
			t.Errorf("ParseFloat(%q) is %v, %v; want %v", c.text, got, ok, c.float)
		}
		n, ok := ParseInt(c.text)
		if refused := math.IsNaN(c.integer); ok == refused || ok && n != int64(c.integer) {
			t.Errorf("ParseInt(%q) is %v, %v; want %v", c.text, n, ok, c.integer)
		}
	}
	if n, ok := ParseInt("99999999999999999999"); !ok || n != math.MaxInt64 {
		t.Errorf("a large number is %d, %v", n, ok)
	}
}
