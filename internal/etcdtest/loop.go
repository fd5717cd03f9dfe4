package etcdtest

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"time"
)

// poll tries until it works or ctx ends.
func poll(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// watchEnd closes ended when cmd, which is running, has ended.
func watchEnd(cmd *exec.Cmd, ended chan struct{}) {
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
}

// serve takes connections and joins each to one of target.
func (l *Link) serve(ctx context.Context, listener net.Listener, target string) {
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			if l.keep(in) {
				go l.join(ctx, in, target)
			}
		}
	}()
}

func (l *Link) join(ctx context.Context, in net.Conn, target string) {
	l.pass()
	out, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", target)
	if err != nil {
		l.lose(in)
		return
	}
	if !l.keep(out) {
		l.lose(in)
		return
	}
	go l.copyTo(in, out)
	l.copyTo(out, in)
}
