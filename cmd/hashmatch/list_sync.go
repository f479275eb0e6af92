package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/exchange"
)

func newListSync() *cobra.Command {
	var file, name, output string
	var once, status bool
	cmd := &cobra.Command{
		Use:   "sync --config FILE",
		Short: "Fetch the lists that come from an exchange, once or for ever",
		Long: `Fetch the lists of the configuration that come from an exchange (see: hashmatch config doc, exchanges), each at its
interval until it is told to stop, or once with --once. A list is replaced in one step, with the checkpoint from which
the next sync goes on; if it cannot be fetched, the one that is there stays as it was, and FILE.sync.json beside it says
what is missing. --status prints those files and fetches nothing.

Exit codes: 0 done, or told to stop; 1 a list could not be synced; 2 wrong usage, configuration or credentials.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return errors.New("list sync: --config: name the configuration file")
			}
			if output != "text" && output != "json" {
				return fmt.Errorf("list sync: --output %q: want text or json", output)
			}
			c, err := config.Load(file)
			if err != nil {
				return err
			}
			if status {
				return printStatus(cmd.OutOrStdout(), c, name, output)
			}
			var handler slog.Handler = slog.NewJSONHandler(cmd.ErrOrStderr(), nil)
			if c.Serve.LogFormat == "text" {
				handler = slog.NewTextHandler(cmd.ErrOrStderr(), nil)
			}
			syncers, err := c.Syncers(config.SyncOptions{List: name, Logger: slog.New(handler)})
			if err != nil {
				return fmt.Errorf("list sync: %w", err)
			}
			if len(syncers) == 0 {
				return fmt.Errorf("list sync: %s: no exchange fills a list", printable(file))
			}
			if once {
				return syncOnce(cmd.Context(), syncers, cmd.OutOrStdout(), output)
			}
			return exchange.Run(cmd.Context(), syncers)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (see: hashmatch config doc)")
	cmd.Flags().StringVar(&name, "list", "", "sync this list only")
	cmd.Flags().BoolVar(&once, "once", false, "sync each list once, and say what came of it")
	cmd.Flags().BoolVar(&status, "status", false, "print how the last sync of each list went")
	cmd.Flags().StringVar(&output, "output", "text", "text or json")
	fixedCompletion(cmd, "output", "text", "json")
	return cmd
}

// syncOnce syncs one list after the other. One that cannot be synced keeps no other from it.
func syncOnce(ctx context.Context, syncers []*exchange.Syncer, out io.Writer, output string) error {
	failed := 0
	for _, s := range syncers {
		result, err := s.Sync(ctx) // an error is logged
		if ctx.Err() != nil {
			return exit(exitInterrupted, nil)
		}
		if err != nil {
			failed++
			continue
		}
		if output == "json" {
			err = json.NewEncoder(out).Encode(result)
		} else {
			_, err = fmt.Fprintf(out, "%s: %d entries, revision %s; %d added, %d changed, %d withdrawn, %d removed; %d records refused, %d hashes of other schemes; %d requests, %d of them again\n",
				printable(result.List), result.Entries, result.Revision.Short(), result.Added, result.Changed, result.Withdrawn, result.Removed,
				result.Refused, result.Uncomputed, result.Requests+result.Retries, result.Retries)
		}
		if err != nil {
			return exit(exitUnwritten, err)
		}
	}
	if failed > 0 {
		return exit(exitMatched, fmt.Errorf("%d of %d lists could not be synced", failed, len(syncers)))
	}
	return nil
}

// printStatus prints how the last sync of each list went. It fails with exit code 1 if one did not go well.
func printStatus(out io.Writer, c *config.Config, name, output string) error {
	failed, shown := 0, 0
	for _, e := range c.Exchanges {
		if name != "" && name != e.List {
			continue
		}
		shown++
		var path string
		for _, l := range c.Lists {
			if l.Name == e.List {
				path = l.File
			}
		}
		status, err := exchange.ReadStatus(path)
		if errors.Is(err, os.ErrNotExist) {
			status, err = exchange.Status{List: e.List, Dialect: e.Dialect, Error: "never synced"}, nil
		}
		if err != nil {
			return fmt.Errorf("list sync: %w", err)
		}
		if status.Error != "" {
			failed++
		}
		if output == "json" {
			err = json.NewEncoder(out).Encode(status)
		} else {
			err = printStatusText(out, status)
		}
		if err != nil {
			return exit(exitUnwritten, err)
		}
	}
	switch {
	case shown == 0:
		return errors.New("list sync: no exchange fills such a list")
	case failed > 0:
		return exit(exitMatched, nil)
	}
	return nil
}

func printStatusText(out io.Writer, s exchange.Status) error {
	synced := "never"
	if !s.Synced.IsZero() {
		synced = s.Synced.Format(time.RFC3339)
	}
	if _, err := fmt.Fprintf(out, "%s: %s, synced %s", printable(s.List), s.Dialect, synced); err != nil {
		return err
	}
	if s.Error != "" {
		fmt.Fprintf(out, "; failed %d times, last at %s: %s", s.Failures, s.Tried.Format(time.RFC3339), printable(s.Error))
	}
	if s.Gap != nil {
		fmt.Fprintf(out, "; missing since %s", s.Gap.Since.Format(time.RFC3339))
	}
	_, err := fmt.Fprintln(out)
	return err
}
