package rabbit

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPipe: a peer that reads nothing holds up nobody. It is noticed when 4 MiB
// are kept, given up at 64 MiB, and what was kept arrives when it reads again.
func TestPipe(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	p := newPipe(near)
	piece := bytes.Repeat([]byte{'x'}, 1<<20)
	written := 0
	for !p.full() {
		n, err := p.Write(piece)
		require.NoError(t, err)
		written += n
	}
	require.Equal(t, pipeFull+len(piece), written)
	for n, err := p.Write(piece); err == nil; n, err = p.Write(piece) {
		written += n
	}
	require.GreaterOrEqual(t, written, pipeLimit)
	require.LessOrEqual(t, written, 2*pipeLimit, "kept, and what is going out")
	_, err := p.Write(piece)
	require.ErrorIs(t, err, errPipeLimit)

	got := make([]byte, written)
	_, err = io.ReadFull(far, got)
	require.NoError(t, err)
	require.Equal(t, written, bytes.Count(got, piece[:1]))
	require.Eventually(t, func() bool { return !p.full() }, time.Minute, time.Millisecond)
	_, err = p.Write([]byte("last"))
	require.NoError(t, err)
	require.NoError(t, p.Close())
	rest, err := io.ReadAll(far)
	require.NoError(t, err)
	require.Equal(t, "last", string(rest), "what was kept is sent before the end")
	_, err = p.Write(piece)
	require.ErrorIs(t, err, net.ErrClosed)
}

// TestPipeEnds: a peer that reads nothing does not keep a pipe from closing.
func TestPipeEnds(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	p := newPipe(near)
	_, err := p.Write([]byte("nobody reads this"))
	require.NoError(t, err)
	require.NoError(t, p.Close())
	require.NoError(t, far.SetReadDeadline(time.Now().Add(time.Minute)))
	require.Eventually(t, func() bool { _, err := near.Write(nil); return err != nil }, time.Minute, 10*time.Millisecond)
}
