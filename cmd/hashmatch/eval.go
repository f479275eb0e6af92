package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"example.org/hashmatch/cmd/hashmatch/internal/bench"
	"example.org/hashmatch/cmd/hashmatch/internal/progress"
	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/edit"
	"example.org/hashmatch/pkg/hashmatch/eval"
	"example.org/hashmatch/pkg/hashmatch/media"
	"example.org/hashmatch/pkg/hashmatch/policy"
	"example.org/hashmatch/pkg/hashmatch/worker"
)

const evalHelp = `Measure on harmless photos of yours which copies of a picture are found, and how often unrelated pictures match.

Copies of a sample of the photos are made by a published set of edits (--list-edits), each encoded as JPEG, and compared
with the photos by each kind of hash; all photos are compared with each other and, with --list, with your lists. What
comes out: recall by edit, distances, false matches, what hashing costs, and which threshold gives at most one false hold
in --uploads uploads, with intervals of 95 %. Thresholds are those that policies have unless they say otherwise; state
those of yours with --thresholds.

Use photos like those that your users publish, of different scenes, none of them listed: whatever matches counts as false.
Nothing is kept of a photo, and the output names none. The results are the same at each run with the same photos and seed,
but for the times.

Exit codes: 0 measured; 2 wrong usage, list or folder; 5 the output could not be written; 130 interrupted.`

// evalPatience is how long a file may take in a decoder's process: longer than in a scan, so that what is measured does not
// depend on how busy the machine is.
const evalPatience = 2 * time.Minute

// profiles are the sets of views that --profile names.
var profiles = map[string]func() eval.Profile{
	string(hashmatch.Plain):    eval.Plain,
	string(hashmatch.Standard): func() eval.Profile { return eval.Viewed(hashmatch.Standard) },
	string(hashmatch.Thorough): func() eval.Profile { return eval.Viewed(hashmatch.Thorough) },
}

type evalFlags struct {
	photos, output           string
	lists, kinds, edits      []string
	profiles                 []string
	sample, workers          int
	seed                     uint64
	uploads, entries         int64
	thresholds               map[string]int
	showEdits, withoutCopies bool
}

func newEval() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval --photos DIR [flags]",
		Short: "Measure on photos of yours what is found and what matches falsely",
		Long:  evalHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.showEdits {
				return listEdits(cmd.OutOrStdout())
			}
			return evaluate(cmd, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.photos, "photos", "", "the folder of photos, with those in folders below it")
	flags.StringArrayVar(&f.lists, "list", nil, "a list to compare with, as FILE or NAME=FILE; may be given again")
	flags.StringSliceVar(&f.profiles, "profile", []string{"plain"}, "sets of views: plain, standard, thorough")
	flags.StringSliceVar(&f.kinds, "kinds", []string{"pdq"}, "perceptual kinds: "+perceptualList())
	flags.StringToIntVar(&f.thresholds, "thresholds", nil, "the policy's thresholds, as pdq=31,phash=6 (default: those of the kinds)")
	flags.StringSliceVar(&f.edits, "edits", nil, "edits, families of edits, or chains as mirror+crop5-each (default: all)")
	flags.IntVar(&f.sample, "sample", 100, "the number of photos that copies are made of; 0 for all")
	flags.BoolVar(&f.withoutCopies, "no-edits", false, "make no copies: measure false matches only")
	flags.Uint64Var(&f.seed, "seed", 1, "what chance is drawn from: the sample, and places and directions of edits")
	flags.Int64Var(&f.uploads, "uploads", 10_000, "the number of uploads in which one false hold is allowed")
	flags.Int64Var(&f.entries, "entries", 0, "the size of the list that pairs are reckoned up to (default: that of --list, else 1000000)")
	flags.IntVar(&f.workers, "workers", 0, "photos at a time (default: one for each core)")
	flags.StringVar(&f.output, "output", "text", "text, json or html")
	flags.BoolVar(&f.showEdits, "list-edits", false, "print the edits with their parameters, and end")
	fixedCompletion(cmd, "output", "text", "json", "html")
	fixedCompletion(cmd, "profile", "plain")
	fixedCompletion(cmd, "kinds", strings.Split(perceptualList(), ", ")...)
	return cmd
}

// evaluate is the whole command.
func evaluate(cmd *cobra.Command, f evalFlags) error {
	conf, err := f.config()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	folder, err := filepath.EvalSymlinks(f.photos)
	if err != nil {
		return err
	}
	if conf.Photos, err = bench.Find([]string{folder}, 0); err != nil {
		return err
	}
	var decoder media.Config
	if command := workerCommand(); command != nil {
		pool := worker.NewPool(worker.Config{Command: command, Deadline: evalPatience})
		defer pool.Close()
		decoder.Isolated = pool
	}
	conf.Decoder = media.New(decoder)
	if len(f.lists) > 0 {
		engine, err := f.engine(cmd)
		if err != nil {
			return err
		}
		defer engine.Close()
		conf.Lists = engine.Lists()
		if held := conf.Lists.Kinds(); held&conf.Kinds == 0 {
			return errors.New("--list: no list holds hashes of the kinds that are measured")
		}
	}
	stop := evalProgress(cmd.ErrOrStderr(), &conf)
	result, err := eval.Run(ctx, conf)
	stop()
	switch {
	case ctx.Err() != nil:
		return exit(exitInterrupted, nil)
	case err != nil:
		return err
	}
	write := result.WriteText
	switch f.output {
	case "json":
		write = result.WriteJSON
	case "html":
		write = result.WriteHTML
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return exit(exitUnwritten, fmt.Errorf("writing results: %w", err))
	}
	return nil
}

// config checks the flags and returns what they say.
func (f evalFlags) config() (eval.Config, error) {
	c := eval.Config{QualityFloor: hashmatch.DefaultQualityFloor, Sample: f.sample, Seed: f.seed, Uploads: f.uploads,
		Entries: f.entries, Workers: f.workers, Thresholds: make(map[hashmatch.Kind]int), Widest: make(map[hashmatch.Kind]int)}
	switch {
	case f.photos == "":
		return c, errors.New("eval: no --photos: name a folder of harmless photos")
	case f.output != "text" && f.output != "json" && f.output != "html":
		return c, fmt.Errorf("--output %q: want text, json or html", f.output)
	case f.sample < 0:
		return c, fmt.Errorf("--sample %d: want 1 or more, or 0 for all", f.sample)
	case f.uploads < 1:
		return c, fmt.Errorf("--uploads %d: want 1 or more", f.uploads)
	case f.entries < 0:
		return c, fmt.Errorf("--entries %d: want 1 or more", f.entries)
	case f.workers < 0:
		return c, fmt.Errorf("--workers %d: want 1 or more, or 0 for one each core", f.workers)
	case f.withoutCopies && len(f.edits) > 0:
		return c, errors.New("--no-edits and --edits exclude each other")
	}
	if info, err := os.Stat(f.photos); err != nil {
		return c, err
	} else if !info.IsDir() {
		return c, fmt.Errorf("--photos %s: not a folder", printable(f.photos))
	}
	var err error
	if c.Kinds, err = parseKinds(f.kinds); err != nil {
		return c, err
	}
	if digests := c.Kinds.Digests(); digests != 0 {
		return c, fmt.Errorf("--kinds: %s finds the very bytes and nothing else: there is nothing to measure", digests.Kinds()[0])
	}
	for _, kind := range c.Kinds.Kinds() {
		c.Thresholds[kind], c.Widest[kind] = policy.DefaultThreshold(kind), policy.MaxThreshold(kind)
	}
	for name, threshold := range f.thresholds {
		kind, err := hashmatch.ParseKind(name)
		switch {
		case err != nil:
			return c, fmt.Errorf("--thresholds: %w", err)
		case !c.Kinds.Has(kind):
			return c, fmt.Errorf("--thresholds: %s is not among --kinds", kind)
		case threshold < 0 || threshold > c.Widest[kind]:
			return c, fmt.Errorf("--thresholds: %s=%d: want 0 to %d", kind, threshold, c.Widest[kind])
		}
		c.Thresholds[kind] = threshold
	}
	for _, name := range f.profiles {
		profile, known := profiles[name]
		if !known {
			return c, fmt.Errorf("--profile %q: want plain", name)
		}
		c.Profiles = append(c.Profiles, profile())
	}
	if !f.withoutCopies {
		if c.Edits, err = edit.Select(f.edits); err != nil {
			return c, fmt.Errorf("--edits: %w; see --list-edits", err)
		}
	}
	return c, nil
}

// engine returns an Engine with the lists.
func (f evalFlags) engine(cmd *cobra.Command) (*config.Engine, error) {
	conf := config.Public(hashmatch.Hold)
	for _, text := range f.lists {
		list, err := listFlag(text)
		if err != nil {
			return nil, err
		}
		if err := conf.AddList(list); err != nil {
			return nil, err
		}
	}
	engine, err := conf.Open(cmd.Context(), config.OpenOptions{})
	if err != nil {
		return nil, err
	}
	if err := engine.LoadLists(cmd.Context()); err != nil {
		engine.Close()
		if cmd.Context().Err() != nil {
			return nil, exit(exitInterrupted, nil)
		}
		return nil, err
	}
	return engine, nil
}

func listEdits(w io.Writer) error {
	var text strings.Builder
	for _, e := range edit.All() {
		quality := e.Quality
		if quality == 0 {
			quality = edit.DefaultQuality
		}
		fmt.Fprintf(&text, "%-18s %-8s %s; JPEG %d\n", e.Name, e.Family, e.Parameters, quality)
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return exit(exitUnwritten, fmt.Errorf("writing results: %w", err))
	}
	return nil
}

func perceptualList() string {
	var names []string
	for _, k := range hashmatch.Kinds() {
		if !k.Digest() {
			names = append(names, k.String())
		}
	}
	return strings.Join(names, ", ")
}

// evalProgress shows how far conf's run is, in a line that is rewritten on a terminal and written now and then
// elsewhere, until stop is called.
func evalProgress(w io.Writer, conf *eval.Config) (stop func()) {
	type step struct {
		stage       string
		done, total int
	}
	var last atomic.Pointer[step]
	conf.Progress = func(stage string, done, total int) {
		if at := last.Load(); at == nil || at.stage != stage || at.done < done {
			last.Store(&step{stage, done, total})
		}
	}
	interval, begin, end := 10*time.Second, "", "\n"
	terminal := progress.IsTerminal(w)
	if terminal {
		interval, begin, end = 200*time.Millisecond, "\r\x1b[K", ""
	}
	quit, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if at := last.Load(); at != nil {
					fmt.Fprintf(w, "%s%s: %d of %d%s", begin, at.stage, at.done, at.total, end)
				}
			case <-quit:
				if terminal {
					fmt.Fprint(w, begin)
				}
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-finished
	}
}
