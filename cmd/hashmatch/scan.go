package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"example.org/hashmatch/cmd/hashmatch/internal/progress"
	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/batch"
	"example.org/hashmatch/pkg/hashmatch/config"
)

const scanHelp = `Scan files, and the files in folders, against hash lists, and say allow, hold or block for each.

Only public, unencrypted content is scanned, and it takes a statement of yours: --public declares that the paths are
uploads to one such surface, or a configuration (--config) declares surfaces and --surface picks one. "-" reads paths
from standard input, one a line.

A list is a file in one of the formats of "hashmatch list import", or a snapshot that it made.

Exit codes:
  0    every file was scanned in full and is allowed
  1    something matched
  2    wrong usage, configuration or list, and nothing was scanned; or the checkpoint holds files that were not named again
  3    something could not be scanned, or is held or blocked for another reason than a match
  4    both 1 and 3
  5    results could not be written
  130  interrupted

A file that --output-file names and that holds something is overwritten only with --overwrite, or if it holds the
results of the scan that the checkpoint continues.

The checkpoint of --checkpoint lets a scan that was stopped or killed go on where it was. It holds paths, sizes,
modification times and verdicts, is readable for its owner only, and is deleted when the scan is complete. With
--output-file, every file has exactly one result however often the scan was killed.`

type scanFlags struct {
	public, restart, anyway, nul, followLinks, quiet bool
	overwrite                                        bool
	configFile, surface, output, outputFile          string
	nonImages, checkpoint                            string
	lists, since                                     []string
	workers                                          int
}

func newScan() *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan {--public | --config FILE} [flags] PATH...",
		Short: "Scan files and folders against hash lists",
		Long:  scanHelp,
		Args:  someArgs("scan: no path: name files or folders, or - to read paths from standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd.Flags().Changed("non-images")); err != nil {
				return err
			}
			return scan(cmd, f, args)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.public, "public", false, "declare that the paths are uploads to one public, unencrypted surface")
	flags.StringVar(&f.configFile, "config", "", "configuration file (see: hashmatch config doc)")
	flags.StringVar(&f.surface, "surface", "", "the surface of the configuration that the paths were uploaded to")
	flags.StringArrayVar(&f.lists, "list", nil, "a list to compare with, as FILE or NAME=FILE; may be given again")
	flags.StringArrayVar(&f.since, "since", nil, "with --config, compare with what is new in a list since this revision, which hashmatch serve keeps; may be given again")
	flags.StringVar(&f.nonImages, "non-images", "hold", "with --public, the answer for what is not an image: allow, hold or block")
	flags.StringVar(&f.output, "output", "table", "how results are written: table, json (one object a line) or csv")
	flags.StringVar(&f.outputFile, "output-file", "", "write results to this file in place of standard output")
	flags.BoolVar(&f.overwrite, "overwrite", false, "with --output-file, replace a file that holds something")
	flags.StringVar(&f.checkpoint, "checkpoint", "", "file to go on from if the scan is stopped")
	flags.BoolVar(&f.restart, "restart", false, "forget what the checkpoint holds and begin again")
	flags.BoolVar(&f.anyway, "resume-anyway", false, "go on from the checkpoint although lists or policy have changed since")
	flags.BoolVar(&f.nul, "null", false, "with -, paths end in a zero byte in place of a newline (find -print0)")
	flags.BoolVar(&f.followLinks, "follow-links", false, "follow symbolic links that are named as a PATH")
	flags.IntVar(&f.workers, "workers", 0, "files scanned at a time (default: one for each core)")
	flags.BoolVar(&f.quiet, "quiet", false, "no progress and no summary")
	cmd.MarkFlagsMutuallyExclusive("public", "config")
	cmd.MarkFlagsMutuallyExclusive("public", "since")
	cmd.MarkFlagsMutuallyExclusive("restart", "resume-anyway")
	fixedCompletion(cmd, "output", "table", "json", "csv")
	fixedCompletion(cmd, "non-images", "allow", "hold", "block")
	return cmd
}

// scan is the whole command: configuration, lists, sources, run, summary, exit code.
func scan(cmd *cobra.Command, f scanFlags, args []string) error {
	conf, surface, err := f.configuration()
	if err != nil {
		return err
	}
	source, err := f.source(cmd.InOrStdin(), args)
	if err != nil {
		return err
	}
	writer, err := f.format(cmd.OutOrStdout())
	if err != nil {
		return err
	}
	begun := f.checkpoint != "" && exists(f.checkpoint)
	if err := f.checkOutput(conf, begun); err != nil {
		return err
	}
	ctx := cmd.Context()
	options := config.OpenOptions{Worker: workerCommand()}
	if len(f.since) > 0 {
		if conf, options.Since, err = conf.Since(f.since...); err != nil {
			return fmt.Errorf("--since: %w", err)
		}
	}
	engine, err := conf.Open(ctx, options)
	if err != nil {
		return err
	}
	defer engine.Close()
	if err := engine.LoadLists(ctx); err != nil {
		if ctx.Err() != nil {
			return exit(exitInterrupted, nil)
		}
		return err
	}

	run := batch.Config{Source: source, Scanner: engine.Scanner, Surface: surface, Workers: f.workers}
	keep := int64(0)
	if f.checkpoint != "" {
		run.Checkpoint, err = f.openCheckpoint(args, surface, engine)
		if err != nil {
			return err
		}
		defer run.Checkpoint.Close()
		keep = run.Checkpoint.Offset()
		if keep == 0 && run.Checkpoint.Summary().Files > 0 { // its results went elsewhere
			begun = false
		}
		if err := f.checkOutput(conf, begun); err != nil {
			return err
		}
	}
	stdout, stopDrawing := cmd.OutOrStdout(), func() {}
	if !f.quiet {
		run.Progress = new(batch.Progress)
		var above io.Writer
		above, stopDrawing = progress.Start(cmd.ErrOrStderr(), run.Progress)
		if above != nil && progress.IsTerminal(stdout) {
			stdout = above
		}
	}
	output := batch.NewOutput(stdout)
	if f.outputFile != "" {
		if output, err = batch.OpenOutput(f.outputFile, keep); err != nil {
			stopDrawing()
			return exit(exitUnwritten, err)
		}
	}
	run.Results = writer(output)
	summary, err := batch.Run(ctx, run)
	if closeErr := output.Close(); err == nil && closeErr != nil {
		err = &batch.WriteError{What: "results", Err: closeErr}
	}
	stopDrawing()
	return f.conclude(cmd.ErrOrStderr(), args, summary, err)
}

// configuration returns what --public or --config states, with the lists of --list added.
func (f scanFlags) configuration() (*config.Config, hashmatch.Surface, error) {
	var none hashmatch.Surface
	var conf *config.Config
	var err error
	switch {
	case f.public:
		nonImages, err := hashmatch.ParseAction(f.nonImages)
		if err != nil {
			return nil, none, fmt.Errorf("--non-images: %w", err)
		}
		conf = config.Public(nonImages)
	case f.configFile != "":
		if conf, err = config.Load(f.configFile); err != nil {
			return nil, none, err
		}
	default:
		return nil, none, errors.New("scan: say what is scanned: --public declares public, unencrypted uploads; --config names a file that declares surfaces")
	}
	for _, text := range f.lists {
		list, err := listFlag(text)
		if err != nil {
			return nil, none, err
		}
		if err := conf.AddList(list); err != nil {
			return nil, none, err
		}
	}
	name := f.surface
	if name == "" {
		if len(conf.Declarations) != 1 {
			return nil, none, fmt.Errorf("--surface: the configuration declares %d surfaces; say which", len(conf.Declarations))
		}
		name = conf.Declarations[0].Name
	}
	surface, err := conf.Surface(name)
	return conf, surface, err
}

// listFlag reads [NAME=]FILE. A list without a name has that of its file.
func listFlag(text string) (config.List, error) {
	name, file, named := strings.Cut(text, "=")
	if !named {
		file = text
		name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	if name == "" || file == "" {
		return config.List{}, fmt.Errorf("--list %q: want FILE or NAME=FILE", text)
	}
	return config.List{Name: name, File: file}, nil
}

func (f scanFlags) source(stdin io.Reader, args []string) (batch.Source, error) {
	if len(args) == 1 && args[0] == "-" {
		lines := batch.Lines(stdin)
		lines.NUL = f.nul
		return lines, nil
	}
	for _, arg := range args {
		if arg == "-" {
			return nil, errors.New("scan: - stands alone: paths come from standard input or from the command line")
		}
	}
	if f.nul {
		return nil, errors.New("--null goes with -")
	}
	paths := batch.Paths(args...)
	paths.FollowLinks = f.followLinks
	for _, own := range []string{f.checkpoint, f.outputFile} {
		if own != "" {
			paths.Exclude = append(paths.Exclude, own)
		}
	}
	return paths, nil
}

func (f scanFlags) format(stdout io.Writer) (func(*batch.Output) batch.Results, error) {
	switch f.output {
	case "table":
		width := 0
		if file, ok := stdout.(*os.File); ok && f.outputFile == "" {
			if w, _, err := term.GetSize(int(file.Fd())); err == nil {
				width = w
			}
		}
		return func(o *batch.Output) batch.Results { return batch.Table(o, width) }, nil
	case "json":
		return batch.JSON, nil
	case "csv":
		return batch.CSV, nil
	}
	return nil, fmt.Errorf("--output %q: want table, json or csv", f.output)
}

// conclude prints the summary and returns the exit code.
func (f scanFlags) conclude(stderr io.Writer, args []string, s batch.Summary, err error) error {
	if !f.quiet {
		printSummary(stderr, s)
	}
	if s.Files == 0 && err == nil {
		where := "standard input"
		if args[0] != "-" {
			where = printable(strings.Join(args, " "))
		}
		fmt.Fprintf(stderr, "hashmatch: nothing was scanned: no file in %s\n", where)
	}
	var unwritten *batch.WriteError
	var unnamed *batch.UnnamedError
	switch {
	case errors.As(err, &unnamed):
		return exit(exitUsage, fmt.Errorf("checkpoint %q: %w; name them too, or begin again with --restart", f.checkpoint, err))
	case errors.As(err, &unwritten):
		return exit(exitUnwritten, err)
	case s.Interrupted || errors.Is(err, context.Canceled):
		if f.checkpoint != "" {
			fmt.Fprintln(stderr, "hashmatch: interrupted; the same command goes on from the checkpoint")
		}
		return exit(exitInterrupted, nil)
	case err != nil:
		return err
	case s.AnyMatched() && s.AnyNotCleared():
		return exit(exitBoth, nil)
	case s.AnyMatched():
		return exit(exitMatched, nil)
	case s.AnyNotCleared():
		return exit(exitUnscanned, nil)
	}
	return nil
}

func printSummary(w io.Writer, s batch.Summary) {
	fmt.Fprintf(w, "%d files, %s, in %s: %d allowed, %d held, %d blocked; %d matched, %d not scanned in full\n",
		s.Files, progress.Bytes(s.Bytes), s.Ended.Sub(s.Started).Round(1e6), s.Allowed, s.Held, s.Blocked, s.Matched, s.NotScanned)
	for _, code := range hashmatch.FailureCodes() {
		if n := s.Failures[code]; n > 0 {
			fmt.Fprintf(w, "  %s: %d\n", code, n)
		}
	}
	if s.HeldOtherwise > 0 {
		fmt.Fprintf(w, "  held or blocked for another reason: %d\n", s.HeldOtherwise)
	}
	if s.Resumed > 0 {
		fmt.Fprintf(w, "  taken over from the checkpoint: %d\n", s.Resumed)
	}
}
