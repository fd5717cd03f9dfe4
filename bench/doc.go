// Package bench replays workload traces against a placement engine and
// measures what comes of it: how much of the cluster is used, how fast tasks
// are placed.
//
// [ReplayGPU] places the tasks of a GPU cluster in the order of the trace,
// [ReplayVMs] places virtual machines that come and go on as many hosts as
// they need, [ReplayNUMA] places requests with rules on hosts with two NUMA
// cells. They ask the engine for allocation candidates, take one by a
// [Policy], and claim it. They keep a mirror of what is free, check every
// claim and every refusal against it, and compare it with the engine's usages
// at the end: a report exists only for answers that were right.
//
// [MeasureScheduling] measures the scheduler on equal hosts.
//
// # Policies
//
//   - first-fit: the engine's first candidate. Among virtual machine hosts that
//     is the lowest number.
//   - best-fit: the node that the claim leaves fullest. What is left of it is
//     the sum, over its resources, of the share of its own total that stays
//     free, in millionths. Within a node, the GPUs with the least milli left.
//   - worst-fit: the opposite of best-fit.
//   - random: a node drawn evenly from those with room, and there the engine's
//     first candidate.
//   - fgd: fragmentation gradient descent: the node, and its GPU, on which the
//     claim strands least, by [pack.Offers] with the mix of requests. For GPU
//     clusters that is the mix of the trace, as in the paper, unless LearnMix
//     is set; for virtual machines that of the arrivals so far. The node is found in the mirror,
//     and the engine is asked for candidates on it.
//   - host-age: the node that is occupied for longest, so that the younger ones
//     run empty; a node without claims comes last. Within a node, the GPUs with
//     the least milli left.
//   - lifetime: the host whose last departure the virtual machine delays
//     least, and of those the one that best-fit takes. Tasks of a GPU cluster
//     have no lifetime: there it is best-fit.
//   - fgd-paper: fgd by the measure of the paper, [pack.Fragments]. Only for
//     GPU clusters.
//
// Hosts with NUMA cells are chosen in the mirror by every policy, as the engine
// knows no rules of groups. There fgd prefers used hosts, on which the claim
// costs the least copies: copies of what has been asked for that still fit
// somewhere, each worth more the fewer there are. It opens large hosts first,
// and lets affinity groups begin, and grow, where many of their members fit.
//
// Candidates that rank equal are taken in the engine's order, so a replay
// depends on nothing but its configuration.
//
//	engine, err := placement.Open(ctx, placement.Config{Now: time.Now})
//	nodes, err := trace.OpenBNodes()
//	tasks, err := trace.OpenBTasks("default")
//	report, err := bench.ReplayGPU(ctx, engine, bench.GPUConfig{Nodes: nodes, Tasks: tasks, Now: time.Now})
//
// A replay starts with an engine that holds nothing. It is not for concurrent
// use, as each claim depends on the one before it.
package bench
