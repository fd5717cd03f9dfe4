package novajudge

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed judge.py shims.py
var programs embed.FS

// judgeFile writes the judge where Python can run it.
func judgeFile() (string, error) {
	dir, err := os.MkdirTemp("", "novajudge")
	if err != nil {
		return "", fmt.Errorf("unpack the judge: %w", err)
	}
	if err := os.CopyFS(dir, programs); err != nil {
		return "", fmt.Errorf("unpack the judge: %w", err)
	}
	return filepath.Join(dir, "judge.py"), nil
}
