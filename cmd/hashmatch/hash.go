package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch"
	"example.org/hashmatch/pkg/hashmatch/config"
)

func newHash() *cobra.Command {
	var kindNames []string
	var output string
	var dihedral bool
	cmd := &cobra.Command{
		Use:   "hash [flags] FILE...",
		Short: "Print the hashes of files",
		Long: `Print the hashes of files, compared with nothing: to make a list from pictures, or to see what another program
should have computed.

Text output is one line a hash: KIND HEX, then for perceptual hashes the quality (0 to 100; under 50 a hash is not
matched), the frame and the view ("doubled" is the picture at twice its size, for small ones), then the file. What
failed is said on standard error. JSON output is one object a file, with its failures.

Exit codes: 0 every file was hashed; 2 wrong usage; 3 something could not be read or decoded; 5 the output could not be
written; 130 interrupted.`,
		Args: someArgs("hash: no file: name files to hash"),
		RunE: func(cmd *cobra.Command, args []string) error {
			kinds, err := parseKinds(kindNames)
			if err != nil {
				return err
			}
			write, err := hashWriter(output, cmd.OutOrStdout(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			engine, err := config.Public(hashmatch.Hold).Open(cmd.Context(), config.OpenOptions{Worker: workerCommand()})
			if err != nil {
				return err
			}
			defer engine.Close()
			turned := hashmatch.KindSet(0)
			if dihedral {
				turned = kinds
			}
			failed := false
			for _, path := range args {
				hashes := hashFile(cmd, engine.Scanner, path, kinds, turned)
				if cmd.Context().Err() != nil {
					return exit(exitInterrupted, nil)
				}
				failed = failed || len(hashes.Failures) > 0
				if err := write(path, hashes); err != nil {
					return exit(exitUnwritten, fmt.Errorf("writing results: %w", err))
				}
			}
			if failed {
				return exit(exitUnscanned, nil)
			}
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&kindNames, "kind", []string{"pdq", "md5", "sha1", "sha256"}, "kinds to compute: "+kindList())
	cmd.Flags().BoolVar(&dihedral, "dihedral", false, "the perceptual hashes of the seven turned and mirrored pictures as well")
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	fixedCompletion(cmd, "kind", strings.Split(kindList(), ", ")...)
	fixedCompletion(cmd, "output", "text", "json")
	return cmd
}

func hashFile(cmd *cobra.Command, scanner *hashmatch.Scanner, path string, kinds, dihedral hashmatch.KindSet) hashmatch.Hashes {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	if err != nil {
		var pathError *fs.PathError
		if errors.As(err, &pathError) { // its text without the path, which stands beside it
			err = pathError.Err
		}
		return hashmatch.Hashes{Failures: []hashmatch.Failure{{Code: hashmatch.Unreadable, Detail: err.Error()}}}
	}
	defer file.Close()
	return scanner.Hash(cmd.Context(), hashmatch.Item{Content: file, Size: info.Size()}, kinds, dihedral)
}

// hashWriter returns the function that prints one file's hashes.
func hashWriter(output string, w, stderr io.Writer) (func(path string, h hashmatch.Hashes) error, error) {
	switch output {
	case "text":
		return func(path string, h hashmatch.Hashes) error { return writeHashText(w, stderr, path, h) }, nil
	case "json":
		return func(path string, h hashmatch.Hashes) error { return writeHashJSON(w, path, h) }, nil
	}
	return nil, fmt.Errorf("--output %q: want text or json", output)
}

func writeHashText(w, stderr io.Writer, path string, h hashmatch.Hashes) error {
	name := printable(path)
	var text strings.Builder
	for _, d := range h.Digests {
		fmt.Fprintf(&text, "%s %s %s\n", d.Kind, d.Hex(), name)
	}
	for _, f := range h.Frames {
		fmt.Fprintf(&text, "%s %s quality=%d frame=%d", f.Hash.Kind, f.Hash.Hex(), f.Quality, f.Frame)
		for _, part := range []string{f.View.Orientation, f.View.Background, f.View.Panel, f.View.Geometry, string(f.View.Dihedral)} {
			if part != "" {
				text.WriteString(" " + part)
			}
		}
		fmt.Fprintf(&text, " %s\n", name)
	}
	for _, f := range h.Failures {
		fmt.Fprintf(stderr, "%s: %s\n", name, printable(f.Error()))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

type jsonFrameHash struct {
	Kind    hashmatch.Kind `json:"kind"`
	Hash    string         `json:"hash"`
	Quality int            `json:"quality"`
	Frame   int            `json:"frame"`
	View    hashmatch.View `json:"view"`
}

func writeHashJSON(w io.Writer, path string, h hashmatch.Hashes) error {
	record := struct {
		Path     string              `json:"path"`
		Format   string              `json:"format"`
		Width    int                 `json:"width"`
		Height   int                 `json:"height"`
		Frames   int                 `json:"frames"`
		Digests  map[string]string   `json:"digests"`
		Hashes   []jsonFrameHash     `json:"hashes"`
		Notes    []hashmatch.Note    `json:"notes"`
		Failures []hashmatch.Failure `json:"failures"`
	}{path, h.Media.Format, h.Media.Width, h.Media.Height, h.Media.Frames, map[string]string{}, []jsonFrameHash{},
		append([]hashmatch.Note{}, h.Notes...), append([]hashmatch.Failure{}, h.Failures...)}
	for _, d := range h.Digests {
		record.Digests[d.Kind.String()] = d.Hex()
	}
	for _, f := range h.Frames {
		record.Hashes = append(record.Hashes, jsonFrameHash{f.Hash.Kind, f.Hash.Hex(), f.Quality, f.Frame, f.View})
	}
	return json.NewEncoder(w).Encode(record)
}

func parseKinds(names []string) (hashmatch.KindSet, error) {
	var set hashmatch.KindSet
	for _, name := range names {
		kind, err := hashmatch.ParseKind(strings.ToLower(strings.TrimSpace(name)))
		if err != nil {
			return 0, fmt.Errorf("--kind: %w; known are %s", err, kindList())
		}
		set |= hashmatch.SetOf(kind)
	}
	if set == 0 {
		return 0, errors.New("--kind: no kind")
	}
	return set, nil
}

func kindList() string {
	var names []string
	for _, k := range hashmatch.Kinds() {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}

// fixedCompletion completes a flag from a fixed set of words.
func fixedCompletion(cmd *cobra.Command, flag string, words ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}
