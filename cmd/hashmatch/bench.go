package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"example.org/hashmatch/cmd/hashmatch/internal/bench"
	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/hashlist"
)

const benchHelp = `Measure what scanning takes on this machine, stage by stage, over files of yours.

Files are scanned over and over on one core, each in turn along three paths: as a scan goes by default, where JPEGs are
looked at in reduced size first (screened); with every picture decided in full, as with "exact: true" (exact); and as a
program would that is made of the standard library's decoders (standard library). What else the machine does in the
meantime falls on all three alike: trust the ratios. Then all cores scan at once.

Without --list, the files are compared with made-up PDQ hashes. No verdict is printed, and nothing is stored.
--output benchmark is what go test -bench prints, for benchstat.`

type benchFlags struct {
	lists          []string
	output         string
	entries, files int
	duration       time.Duration
	workers        int
}

func newBench() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench [flags] PATH...",
		Short: "Measure what scanning takes on this machine",
		Long:  benchHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("bench: no path: name files or folders of pictures")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return measure(cmd, f, args) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.lists, "list", nil, "a list to compare with, as FILE or NAME=FILE; may be given again")
	flags.IntVar(&f.entries, "entries", 1_000_000, "without --list, the number of made-up PDQ hashes")
	flags.IntVar(&f.files, "files", 100, "the most files that are measured, at even distances; 0 for all")
	flags.DurationVar(&f.duration, "time", 10*time.Second, "how long each of the three parts takes, at least one round of the files")
	flags.IntVar(&f.workers, "workers", 0, "files scanned at a time in the last part (default: one for each core)")
	flags.StringVar(&f.output, "output", "table", "table, json or benchmark")
	fixedCompletion(cmd, "output", "table", "json", "benchmark")
	return cmd
}

// measure is the whole command.
func measure(cmd *cobra.Command, f benchFlags, args []string) error {
	switch {
	case f.output != "table" && f.output != "json" && f.output != "benchmark":
		return fmt.Errorf("--output %q: want table, json or benchmark", f.output)
	case f.workers < 0:
		return fmt.Errorf("--workers %d: want 1 or more, or 0 for one each core", f.workers)
	case f.files < 0:
		return fmt.Errorf("--files %d: want 1 or more, or 0 for all", f.files)
	case f.duration <= 0 || f.duration > time.Hour:
		return fmt.Errorf("--time %s: want a time up to 1h", f.duration)
	case f.entries < 1 || f.entries > 100_000_000:
		return fmt.Errorf("--entries %d: want 1 to 100000000", f.entries)
	}
	if f.workers == 0 {
		f.workers = runtime.GOMAXPROCS(0)
	}
	files, err := bench.Find(args, f.files)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	engine, err := f.engine(ctx)
	if err != nil {
		return err
	}
	defer engine.Close()
	result, err := bench.Measure(ctx, bench.Config{Engine: engine, Files: files, Time: f.duration, Workers: f.workers})
	switch {
	case ctx.Err() != nil:
		return exit(exitInterrupted, nil)
	case err != nil:
		return err
	case len(result.Groups) == 0:
		return fmt.Errorf("none of the %d files is a picture that can be scanned", len(files))
	}
	for _, path := range result.Skipped {
		fmt.Fprintf(cmd.ErrOrStderr(), "hashmatch: %s: not a sound picture: left out\n", path)
	}
	write := result.WriteTable
	switch f.output {
	case "json":
		write = result.WriteJSON
	case "benchmark":
		write = result.WriteBenchmark
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return exit(exitUnwritten, err)
	}
	return nil
}

// engine returns an Engine with the two surfaces that are measured, and lists.
func (f benchFlags) engine(ctx context.Context) (*config.Engine, error) {
	conf := config.Public(hashmatch.Hold)
	first := conf.Declarations[0]
	second := first
	first.Name, second.Name = bench.Screened, bench.Exact
	second.Exact = new(true)
	conf.Declarations = []config.Declaration{first, second}
	lists := f.lists
	if len(lists) == 0 {
		folder, err := os.MkdirTemp("", "hashmatch-bench-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder)
		path := filepath.Join(folder, "made-up.hml")
		if err := writeMadeUp(path, f.entries); err != nil {
			return nil, err
		}
		lists = []string{path}
	}
	for _, text := range lists {
		list, err := listFlag(text)
		if err != nil {
			return nil, err
		}
		if err := conf.AddList(list); err != nil {
			return nil, err
		}
	}
	engine, err := conf.Open(ctx, config.OpenOptions{Worker: workerCommand()})
	if err != nil {
		return nil, err
	}
	if err := engine.LoadLists(ctx); err != nil {
		engine.Close()
		return nil, err
	}
	return engine, nil
}

// writeMadeUp writes a list of random PDQ hashes, the same at each run.
func writeMadeUp(path string, n int) error {
	var b hashlist.Builder
	random := rand.New(rand.NewPCG(1, 2))
	for range n {
		h := hashmatch.Hash{Kind: hashmatch.PDQ}
		for at := 0; at < len(h.Bits); at += 8 {
			binary.LittleEndian.PutUint64(h.Bits[at:], random.Uint64())
		}
		entry := hashmatch.Entry{
			Key:        hashmatch.EntryKey{ID: hashlist.DeriveID(h)},
			Signatures: []hashmatch.Signature{{Hash: h}},
		}
		if err := b.Add(entry); err != nil {
			return err
		}
	}
	list, err := b.List()
	if err != nil {
		return err
	}
	return hashlist.WriteFile(path, list)
}
