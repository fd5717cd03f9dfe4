package pack

import "testing"

// BenchmarkStranded looks at half full hosts of eight devices.
func BenchmarkStranded(b *testing.B) {
	var mix Mix
	for i := range int64(40) {
		mix.Add(Demand{Need: [Amounts]int64{2000 + 400*i, 8000}, Devices: 1, Share: int16(160 + 20*i), Kinds: 1}, 1+i%5)
	}
	o := NewOffers(&mix, OffersConfig{Weights: Weights{Device: 1}})
	room := Room{Free: [Amounts]int64{48000, 196608}, Kind: 1, Devices: []int16{1000, 1000, 1000, 1000, 530, 190, 60, 0}}
	b.ReportAllocs()
	for b.Loop() {
		o.Stranded(room)
	}
}
