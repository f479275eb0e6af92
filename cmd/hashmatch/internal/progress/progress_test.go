package progress

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/hashmatch/pkg/hashmatch/batch"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB",
		1_234_567: "1.2 MB", 5_000_000_000_000: "5.0 TB", 1 << 62: "4611.7 PB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestLineSaysWhatIsKnown(t *testing.T) {
	for want, s := range map[string]batch.Snapshot{
		"3 files, 12 B, 2/s; 1 allowed, 1 held, 1 blocked":            {Files: 3, Bytes: 12, FilesPerSecond: 2, Allowed: 1, Held: 1, Blocked: 1, Remaining: -1},
		"3/9+ files, 12 B, 2/s; 3 allowed, 0 held, 0 blocked":         {Files: 3, KnownFiles: 9, Bytes: 12, FilesPerSecond: 2, Allowed: 3},
		"3/9 files, 12 B, 2/s, 3s left; 3 allowed, 0 held, 0 blocked": {Files: 3, KnownFiles: 9, Counted: true, Bytes: 12, FilesPerSecond: 2, Allowed: 3, Remaining: 3 * time.Second},
	} {
		if got := line(s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestPlainLinesWhereThereIsNoTerminal(t *testing.T) {
	var text lockedBuffer
	stop := startLines(&text, new(batch.Progress), time.Millisecond)
	deadline := time.Now().Add(5 * time.Second)
	for text.String() == "" && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	stop()
	if got := text.String(); !strings.HasPrefix(got, "0 files, 0 B") || strings.ContainsAny(got, "\r\x1b") {
		t.Errorf("got %q", got)
	}
	if above, stop := Start(&text, new(batch.Progress)); above != nil {
		t.Error("a buffer passed for a terminal")
	} else {
		stop()
	}
}

type lockedBuffer struct {
	sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.Lock()
	defer b.Unlock()
	return b.buffer.String()
}
