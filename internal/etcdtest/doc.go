// Package etcdtest runs etcd clusters on loopback for tests, and breaks them.
//
// A [Cluster] is a few member processes, which can be killed, stopped and
// started again, and cut off from each other where it may make networks of
// their own. A [Link] stands between one client and every member, and can
// be dropped, stalled and healed. The package knows etcd by its HTTP gateway
// only, ends nothing but what it started, and is safe for concurrent use.
//
//	c, err := etcdtest.Start(ctx, etcdtest.Config{Server: "bin/etcd", Dir: dir, Members: 3})
//	link, err := etcdtest.NewLink(ctx, c.Endpoints())
//	leader, err := c.Leader(ctx)
//	err = c.Kill(leader)
//
// The tests of this package are those of store/etcd and of engines on it
// while members, engines and the network between them fail.
package etcdtest
