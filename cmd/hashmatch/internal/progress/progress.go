// Package progress shows a person how far a batch scan has come: a bar on a terminal, a plain line now and then
// where there is none.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"example.org/hashmatch/pkg/hashmatch/batch"
)

// How often each form is renewed. A log wants few lines.
const (
	barInterval  = 200 * time.Millisecond
	lineInterval = 10 * time.Second
)

// Start shows p on w until stop is called, which leaves nothing of a bar behind. above is where text for the same
// terminal has to be written meanwhile, so that it does not run into the bar; nil where there is no terminal.
func Start(w io.Writer, p *batch.Progress) (above io.Writer, stop func()) {
	if IsTerminal(w) {
		return startBar(w, p)
	}
	return nil, startLines(w, p, lineInterval)
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func startBar(w io.Writer, p *batch.Progress) (io.Writer, func()) {
	container := mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(barInterval), mpb.WithWidth(30))
	bar := container.AddBar(0, mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
		return " " + line(p.Snapshot())
	})))
	stop := every(barInterval, func() {
		s := p.Snapshot()
		if s.Counted && s.KnownFiles > 0 {
			bar.SetTotal(s.KnownFiles, false)
		}
		bar.SetCurrent(s.Files)
	})
	return container, func() {
		stop()
		bar.Abort(true)
		container.Wait()
	}
}

func startLines(w io.Writer, p *batch.Progress, interval time.Duration) func() {
	return every(interval, func() {
		if s := p.Snapshot(); !s.Finished {
			fmt.Fprintln(w, line(s))
		}
	})
}

// every calls f at the interval until the function that it returns is called, which waits for the last call.
func every(interval time.Duration, f func()) (stop func()) {
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				f()
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		group.Wait()
	}
}

// line says in words how far the scan is.
func line(s batch.Snapshot) string {
	text := fmt.Sprintf("%d", s.Files)
	if s.KnownFiles > 0 {
		text += fmt.Sprintf("/%d", s.KnownFiles)
		if !s.Counted {
			text += "+"
		}
	}
	text += fmt.Sprintf(" files, %s, %.0f/s", Bytes(s.Bytes), s.FilesPerSecond)
	if s.Counted && s.Remaining >= 0 {
		text += ", " + s.Remaining.Round(time.Second).String() + " left"
	}
	return text + fmt.Sprintf("; %d allowed, %d held, %d blocked", s.Allowed, s.Held, s.Blocked)
}

// Bytes writes a number of bytes for people: 12 B, 3.4 MB.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= 999.95 && unit < 5 {
		value /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", value, " kMGTP"[unit])
}
