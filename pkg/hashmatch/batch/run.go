package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"example.org/hashmatch/pkg/hashmatch"
)

// Scanner gives the verdict on one item: *hashmatch.Scanner does. It is safe for concurrent use. Its errors end the
// run; what is wrong with one file is a failure in the verdict.
type Scanner interface {
	Scan(ctx context.Context, item hashmatch.Item) (hashmatch.Verdict, error)
}

// Config is what a run is made of. All fields without a stated zero value are required.
type Config struct {
	Source  Source
	Scanner Scanner
	Surface hashmatch.Surface // must be declared; every file is an upload on it
	Results Results           // is given each result, one at a time, from the goroutine that called Run

	Workers int // files scanned at a time; 0 means one for each core that Go may use
	// MaxInFlight bounds the bytes of the files that are scanned at a time, with the size that the file system
	// states; a larger file is scanned alone. 0 means 256 MiB.
	MaxInFlight int64
	Checkpoint  *Checkpoint   // nil means none; Run neither opens nor closes it
	Progress    *Progress     // nil means that nobody looks, and that nothing is counted beforehand
	Grace       time.Duration // for files in flight once the context is done; 0 means 5 seconds

	commitEvery int           // results; 0 means commitEvery
	commitAfter time.Duration // 0 means commitAfter
}

// What a death costs at most is scanned again: a thousand files or half a second.
const (
	commitEvery = 1000
	commitAfter = 500 * time.Millisecond
)

const (
	defaultMaxInFlight = 256 << 20
	defaultGrace       = 5 * time.Second
	// abandonAfter is how long Run waits for scans that were cancelled. A read that hangs in the system (a dead
	// network file system) cannot be ended; its goroutine is left behind.
	abandonAfter = time.Second
)

// Results takes the results of a run, one at a time, in the order in which files are finished.
type Results interface {
	// Write takes one result. It may keep it in memory until Commit.
	Write(Result) error
	// Commit hands on everything that was written, durably if it goes to a file.
	Commit() error
	// Offset returns how many bytes of output there will be after the next Commit, those of earlier runs included; 0
	// if they go to where nothing can be cut off.
	Offset() int64
}

// WriteError says that results, or the checkpoint, could not be written.
type WriteError struct {
	What string // "results" or "checkpoint"
	Err  error
}

// Error names what could not be written.
func (e *WriteError) Error() string { return e.What + " could not be written: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *WriteError) Unwrap() error { return e.Err }

// UnnamedError says that the Source did not give again what the checkpoint holds: the run was one of other files.
type UnnamedError struct{ Files int64 }

// Error tells how many files it is about.
func (e *UnnamedError) Error() string {
	return fmt.Sprintf("%d files of the checkpoint were not named again: it is kept, and its verdicts on them are counted", e.Files)
}

// Run scans every file that the source gives and returns when the last result is written, or with an error:
//
//   - that of the context, if it was cancelled before the end (Summary.Interrupted is set);
//   - a *WriteError;
//   - that of the Scanner (a surface that is refused) or of the Source;
//   - a *UnnamedError, when everything that the Source gave was scanned, but the checkpoint holds other files too. Those
//     of which a Goner says that they are gone are none of them.
//
// The summary counts what was handed to Results, also with an error; after a WriteError some of it was lost. The
// checkpoint is removed if there is no error, and is good to go on from if there is one.
func Run(ctx context.Context, config Config) (Summary, error) {
	r, err := newRun(config)
	if err != nil {
		return Summary{}, err
	}
	return r.run(ctx)
}

func newRun(config Config) (*run, error) {
	switch {
	case config.Source == nil:
		return nil, errors.New("batch: no source")
	case config.Scanner == nil:
		return nil, errors.New("batch: no scanner")
	case config.Results == nil:
		return nil, errors.New("batch: nowhere to write results")
	case !config.Surface.Declared():
		return nil, fmt.Errorf("batch: %w: it was not declared", hashmatch.ErrSurfaceRefused)
	}
	if config.Workers <= 0 {
		config.Workers = runtime.GOMAXPROCS(0)
	}
	if config.MaxInFlight <= 0 {
		config.MaxInFlight = defaultMaxInFlight
	}
	if config.Grace <= 0 {
		config.Grace = defaultGrace
	}
	if config.commitEvery <= 0 {
		config.commitEvery = commitEvery
	}
	if config.commitAfter <= 0 {
		config.commitAfter = commitAfter
	}
	r := &run{
		Config: config,
		room:   semaphore.NewWeighted(config.MaxInFlight),
		tasks:  make(chan task, 4*config.Workers),
		ended:  make(chan ended, config.Workers),
		source: make(chan sourceEnd, 1),
		left:   make(chan struct{}),
	}
	if config.Checkpoint != nil {
		r.summary = config.Checkpoint.Summary()
	}
	return r, nil
}

// run is one Run.
type run struct {
	Config
	room   *semaphore.Weighted // bytes in flight
	tasks  chan task           // closed when the source is at its end
	ended  chan ended          // closed when the last worker is gone
	source chan sourceEnd
	left   chan struct{} // closed when nobody takes results any more

	summary     Summary
	written     int64 // results
	uncommitted int   // results written since the last commit
	err         error // why it ends early; the first one
}

// sourceEnd is how the source ended.
type sourceEnd struct {
	queued int64 // files
	err    error
}

// task is a file to be scanned.
type task struct {
	File
	replaces int64 // the record of an earlier state of it in the checkpoint; 0 if there is none
	old      tally // what that record says
}

// ended is a file that was scanned, or why it was not.
type ended struct {
	task
	result Result
	stamp  Stamp
	err    error // of the Scanner
}

func (r *run) run(ctx context.Context) (Summary, error) {
	taking, stop := context.WithCancel(ctx) // done: no further file is begun
	defer stop()
	scanning, abandon := context.WithCancel(context.WithoutCancel(ctx)) // done: files in flight are given up
	defer abandon()

	r.summary.Started = time.Now()
	r.Progress.set(r.summary)
	go r.take(taking)
	if counter, ok := r.Source.(Counter); ok && r.Progress != nil {
		go func() {
			if counter.Count(taking, r.Progress.count) == nil {
				r.Progress.countedAll()
			}
		}()
	}
	var workers sync.WaitGroup
	for range r.Workers {
		workers.Go(func() { r.work(taking, scanning) })
	}
	go func() { workers.Wait(); close(r.ended) }()

	r.collect(ctx, stop, abandon)
	r.finish(ctx)
	return r.summary.clone(), r.err
}

// take takes files from the source, leaves out those that are done, and queues the others.
func (r *run) take(ctx context.Context) {
	var end sourceEnd
	end.err = r.Source.Files(ctx, func(f File) error {
		if f.Key == "" {
			f.Key = f.Path
		}
		t := task{File: f}
		if r.Checkpoint != nil {
			record, position, err := r.Checkpoint.lookup(f.Key)
			if err != nil {
				return fmt.Errorf("checkpoint: %w", err)
			}
			if position != 0 {
				if f.Content.Stat() == record.stamp {
					return nil
				}
				t.replaces, t.old = position, record.tally
			}
		}
		select {
		case r.tasks <- t:
			end.queued++
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	r.source <- end
	close(r.tasks)
}

// work scans one file after the other until there is none left or no more are to be begun.
func (r *run) work(taking, scanning context.Context) {
	for {
		var t task
		var more bool
		select {
		case <-taking.Done():
			return
		case t, more = <-r.tasks:
		}
		if !more || taking.Err() != nil {
			return
		}
		select {
		case r.ended <- r.scan(scanning, t):
		case <-r.left:
			return
		}
	}
}

// scan scans one file. What could not be opened is scanned too, so that the policy answers.
func (r *run) scan(ctx context.Context, t task) ended {
	e := ended{task: t, result: Result{Path: t.Path}}
	content, stamp, err := t.Content.Open()
	e.stamp = stamp
	reader := &itemReader{r: content}
	item := hashmatch.Item{Surface: r.Surface, Content: reader}
	if err != nil {
		reader.err = unreadable("", err)
	} else {
		defer content.Close()
		item.Size = stamp.Size
		weight := min(max(stamp.Size, 0), r.MaxInFlight)
		if e.err = r.room.Acquire(ctx, weight); e.err != nil {
			return e
		}
		defer r.room.Release(weight)
	}
	e.result.Verdict, e.err = r.Scanner.Scan(ctx, item)
	e.result.Bytes = reader.n
	if failure := (*hashmatch.Failure)(nil); errors.As(reader.err, &failure) && len(e.result.Verdict.Failures) == 0 {
		// A Scanner that says nothing of it has not noticed.
		e.result.Verdict.Failures = []hashmatch.Failure{*failure}
		e.result.Verdict.Action = e.result.Verdict.Action.Stricter(hashmatch.Hold)
	}
	return e
}

// itemReader counts the bytes that are read and keeps the error that ends them.
type itemReader struct {
	r   io.Reader
	n   int64
	err error
}

func (r *itemReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.r.Read(p)
	r.n += int64(n)
	r.err = err
	return n, err
}

// collect writes results until there are none left, or until the run is to end and those in flight had their time.
func (r *run) collect(ctx context.Context, stop, abandon func()) {
	defer close(r.left)
	tick := time.NewTicker(r.commitAfter)
	defer tick.Stop()
	interrupted := ctx.Done()
	var late <-chan time.Time // when waiting ends
	abandoned := false
	giveUp := func() {
		abandoned = true // what comes from here on may have been cut short
		stop()
		abandon()
		late = time.After(abandonAfter)
	}
	for {
		select {
		case e, more := <-r.ended:
			if !more {
				return
			}
			if abandoned {
				continue
			}
			if r.err = r.write(e); r.err != nil {
				giveUp()
			}
		case <-tick.C:
			if r.err != nil {
				continue
			}
			if r.err = r.commit(); r.err != nil {
				giveUp()
			}
		case <-interrupted:
			interrupted = nil
			if !abandoned {
				late = time.After(r.Grace)
			}
		case <-late:
			if abandoned {
				return
			}
			giveUp()
		}
	}
}

// write writes one result and records it.
func (r *run) write(e ended) error {
	if e.err != nil {
		return e.err
	}
	if err := r.Results.Write(e.result); err != nil {
		return &WriteError{"results", err}
	}
	r.written++
	t := tallyOf(e.result)
	if e.replaces != 0 {
		r.summary.add(e.old, -1)
		r.summary.Resumed--
	}
	r.summary.add(t, 1)
	r.Progress.set(r.summary)
	if r.Checkpoint != nil {
		record := fileRecord{key: []byte(e.Key), stamp: e.stamp, tally: t, output: r.Results.Offset(), replaces: e.replaces}
		if err := r.Checkpoint.add(record); err != nil {
			return &WriteError{"checkpoint", err}
		}
	}
	if r.uncommitted++; r.uncommitted >= r.commitEvery {
		return r.commit()
	}
	return nil
}

// commit makes the results durable, and then the checkpoint.
func (r *run) commit() error {
	if r.uncommitted == 0 {
		return nil
	}
	r.uncommitted = 0
	if err := r.Results.Commit(); err != nil {
		return &WriteError{"results", err}
	}
	if r.Checkpoint != nil {
		if err := r.Checkpoint.commit(); err != nil {
			return &WriteError{"checkpoint", err}
		}
	}
	return nil
}

// finish writes what is left to write and decides whether the run is complete.
func (r *run) finish(ctx context.Context) {
	var failed *WriteError
	if !errors.As(r.err, &failed) {
		if err := r.commit(); err != nil {
			r.err = err
		}
	}
	complete := false
	if r.err == nil {
		select {
		case end := <-r.source:
			complete = end.err == nil && end.queued == r.written
			r.err = end.err
		default: // the source is still at work
		}
	}
	if !complete && ctx.Err() != nil && (r.err == nil || errors.Is(r.err, ctx.Err())) {
		r.err = context.Cause(ctx)
		r.summary.Interrupted = true
	}
	if complete && r.Checkpoint != nil {
		r.err = r.finishCheckpoint()
	}
	r.summary.Ended = time.Now()
	r.Progress.set(r.summary)
}

// finishCheckpoint removes the checkpoint, unless it holds files that this run knows nothing of.
func (r *run) finishCheckpoint() error {
	gone := func(string) bool { return false }
	if source, ok := r.Source.(Goner); ok {
		gone = source.Gone
	}
	unnamed, err := r.Checkpoint.unnamed(gone)
	switch {
	case err != nil:
		return fmt.Errorf("checkpoint: %w", err)
	case unnamed > 0:
		return &UnnamedError{unnamed}
	}
	if err := r.Checkpoint.finish(); err != nil {
		return &WriteError{"checkpoint", err}
	}
	return nil
}
