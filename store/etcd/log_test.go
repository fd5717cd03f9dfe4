package etcd

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// TestClientLogs sends what etcd's client says to the daemon's logger, without
// fields in which settings could be.
func TestClientLogs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	plain := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	l := zapLogger(plain).Named("etcd-client").With(zap.String("endpoint", "secret"))
	l.Info("resolver state", zap.String("password", "secret"))
	require.Empty(t, out.String())
	l.Warn("retrying", zap.String("target", "secret"), zap.String("method", "/Txn"), zap.Uint("attempt", 1), zap.Error(errors.New("no leader")))
	l.Error("gave up")
	require.Equal(t, "level=WARN msg=\"etcd client\" says=retrying method=/Txn attempt=1 error=\"no leader\"\nlevel=ERROR msg=\"etcd client\" says=\"gave up\"\n", out.String())
	zapLogger(nil).Error("nobody is told")
}
