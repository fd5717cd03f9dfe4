package etcdtest_test

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
)

// echo returns the address of a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

// caller says lines to a link.
type caller struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, link *etcdtest.Link) caller {
	t.Helper()
	c, err := net.Dial("tcp", link.Endpoints()[0])
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return caller{c, bufio.NewReader(c)}
}

// says sends a line and returns the next one that comes within a time.
func (c caller) says(line string, within time.Duration) (string, error) {
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return "", err
	}
	return c.hears(within)
}

func (c caller) hears(within time.Duration) (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	line, err := c.in.ReadString('\n')
	return line, err
}

func TestLink(t *testing.T) {
	t.Parallel()
	link, err := etcdtest.NewLink(t.Context(), []string{echo(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, link.Close()) })
	const soon, late = 200 * time.Millisecond, 10 * time.Second

	c := dial(t, link)
	got, err := c.says("open", late)
	require.NoError(t, err)
	require.Equal(t, "open\n", got)

	link.Stall()
	_, err = c.says("stalled", soon)
	require.ErrorContains(t, err, "timeout")
	link.Heal()
	got, err = c.hears(late)
	require.NoError(t, err, "what was under way arrives")
	require.Equal(t, "stalled\n", got)

	link.Drop()
	_, err = c.says("dropped", late)
	require.Error(t, err)
	_, err = dial(t, link).says("refused", late)
	require.Error(t, err)
	link.Heal()
	got, err = dial(t, link).says("healed", late)
	require.NoError(t, err)
	require.Equal(t, "healed\n", got)

	link.Stall()
	c = dial(t, link)
	_, err = c.says("new while stalled", soon)
	require.ErrorContains(t, err, "timeout")
	link.Drop() // beside the stall
	_, err = c.hears(late)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "timeout")
}
