package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/batch"
	"example.org/hashmatch/pkg/hashmatch/config"
)

// check refuses flags that would do nothing.
func (f scanFlags) check(nonImages bool) error {
	switch {
	case f.configFile != "" && nonImages:
		return errors.New("--non-images goes with --public: with --config, not_image of the surface is the answer")
	case f.checkpoint == "" && (f.restart || f.anyway):
		return errors.New("--restart and --resume-anyway go with --checkpoint")
	case f.outputFile == "" && f.overwrite:
		return errors.New("--overwrite goes with --output-file")
	case f.public && f.surface != "" && f.surface != string(hashmatch.Public):
		return fmt.Errorf("--surface %q is not declared: --public declares one surface, called %q; --config names a file that declares others",
			f.surface, hashmatch.Public)
	case f.workers < 0:
		return fmt.Errorf("--workers %d: want 1 or more, or 0 for one each core", f.workers)
	}
	return nil
}

// checkOutput refuses to overwrite what is not ours to overwrite. begun says that the checkpoint is one whose results
// the output file may hold: as much as the checkpoint knows of is kept.
func (f scanFlags) checkOutput(conf *config.Config, begun bool) error {
	if f.outputFile == "" {
		return nil
	}
	var inputs []input
	if f.configFile != "" {
		inputs = append(inputs, input{"the configuration", f.configFile})
	}
	for _, l := range conf.Lists {
		inputs = append(inputs, input{fmt.Sprintf("the file of the list %q", l.Name), l.File})
	}
	if f.checkpoint != "" {
		inputs = append(inputs, input{"the checkpoint", f.checkpoint})
	}
	return checkOutput("--output-file", f.outputFile, f.overwrite || begun, inputs...)
}

// exists reports whether there is a file that is not empty.
func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0
}

// openCheckpoint opens the checkpoint under the terms of this scan.
func (f scanFlags) openCheckpoint(args []string, surface hashmatch.Surface, engine *config.Engine) (*batch.Checkpoint, error) {
	terms := batch.Terms{
		Surface: surface.Name(), Policy: engine.Policy().Revision(), Revisions: engine.Lists().Revisions(), Results: f.output,
	}
	for _, arg := range args {
		path := arg
		if arg != "-" {
			absolute, err := filepath.Abs(arg)
			if err != nil {
				return nil, err
			}
			path = absolute
		}
		terms.Inputs = append(terms.Inputs, path)
	}
	if f.outputFile != "" {
		path, err := filepath.Abs(f.outputFile)
		if err != nil {
			return nil, err
		}
		terms.Results += " " + path
	}
	resume := batch.Same
	switch {
	case f.restart:
		resume = batch.Restart
	case f.anyway:
		resume = batch.Anyway
	}
	checkpoint, err := batch.OpenCheckpoint(f.checkpoint, terms, resume)
	var changed *batch.CheckpointChangedError
	if errors.As(err, &changed) {
		return nil, fmt.Errorf("%w; --resume-anyway keeps the verdicts reached before, --restart begins again", err)
	}
	if err != nil {
		return nil, err
	}
	return checkpoint, nil
}
