// Package pack says where a request should go so that later ones find room:
// what to strand least, for hosts of any kind, with or without devices that
// several instances share.
//
// A [Room] is what is free of a host, a [Demand] what an instance takes of
// it, a [Mix] how often which demand is asked for. A [Measure] is made of a
// mix and tells how much of a room will stay free for want of demands that
// fit: its fragmentation. The best host is the one whose fragmentation rises
// least (fragmentation gradient descent); a [Ranker] finds it, and evaluates
// only hosts that changed.
//
//	var mix pack.Mix
//	mix.Add(demand, 1) // for each request known or seen
//	ranker := pack.NewRanker(pack.NewOffers(&mix, pack.OffersConfig{Weights: pack.Weights{Device: 1}}))
//	ranker.Set(0, &room)
//	host, ok := ranker.Best(&demand)
//
// Amounts are whole numbers in any unit that rooms and demands agree on,
// shares of devices are thousandths. Everything depends on its input only.
// Rankers and mixes are not for concurrent use, measures are.
package pack
