package service

import (
	"bytes"
	"log/slog"
	"testing"
)

// openLogged opens a service without running it, and returns what it logs.
func openLogged(t *testing.T, d dir) (*Service, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	s, err := Open(t.Context(), Options{ConfigFile: d.file("hashmatch.yaml"), Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}
