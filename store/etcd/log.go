package etcd

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLogger is a logger for etcd's client that writes warnings and worse to an
// [slog.Logger], nothing when that is nil. Of the fields only those pass that
// hold no settings, so that no password can.
func zapLogger(logger *slog.Logger) *zap.Logger {
	if logger == nil {
		return zap.NewNop()
	}
	return zap.New(slogCore{logger})
}

// slogCore implements [zapcore.Core].
type slogCore struct{ logger *slog.Logger }

// Enabled implements [zapcore.Core].
func (c slogCore) Enabled(l zapcore.Level) bool {
	return l >= zapcore.WarnLevel && c.logger.Enabled(context.Background(), slogLevel(l))
}

// With implements [zapcore.Core]. Fields of a logger are its settings.
func (c slogCore) With([]zapcore.Field) zapcore.Core { return c }

// Check implements [zapcore.Core].
func (c slogCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements [zapcore.Core].
func (c slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	known := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(known)
	}
	attrs := []slog.Attr{slog.String("says", e.Message)}
	for _, name := range []string{"method", "attempt", "error"} {
		if v, ok := known.Fields[name]; ok {
			attrs = append(attrs, slog.Any(name, v))
		}
	}
	c.logger.LogAttrs(context.Background(), slogLevel(e.Level), "etcd client", attrs...)
	return nil
}

// Sync implements [zapcore.Core].
func (slogCore) Sync() error { return nil }

func slogLevel(l zapcore.Level) slog.Level {
	if l >= zapcore.ErrorLevel {
		return slog.LevelError
	}
	return slog.LevelWarn
}
