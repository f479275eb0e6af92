package clamd_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"example.org/hashmatch/pkg/hashmatch/hook/clamd"
)

// locked is a buffer for several goroutines.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestRefusedPathIsLogged: who runs clamdscan with nothing but a path finds out why every file is refused.
func TestRefusedPathIsLogged(t *testing.T) {
	var log locked
	config := clamd.Config{Checker: stub{}, Logger: slog.New(slog.NewTextHandler(&log, nil)).With("listener", "antivirus")}
	tcp, unix := listenTCP(t), listenUnix(t)
	serve(t, tcp, config)
	serve(t, unix, config)
	for _, l := range []struct {
		name string
		got  string
	}{{"TCP", talk(t, dial(t, tcp), "nSCAN /secret/path\n")}, {"unix", talk(t, dial(t, unix), "nSCAN /secret/path\n")}} {
		if l.got != "/secret/path: Hashmatch.Hold.Refused FOUND\n" && l.got != "/secret/path: Hashmatch.Hold.Unreadable FOUND\n" {
			t.Errorf("%s: %q", l.name, l.got)
		}
	}
	text := log.String()
	if strings.Count(text, "listener=antivirus") != 2 || strings.Count(text, "--stream") != 2 || strings.Contains(text, "secret") {
		t.Errorf("%s", text)
	}
}
