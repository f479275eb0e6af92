package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/service"
)

func newServe() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Answer for uploads before they are published",
		Long: `Answer for uploads before they are published, in the dialects and on the addresses that the configuration names
(see: hashmatch config doc, listeners).

A service whose lists cannot be loaded, are too old, or no longer find their canary starts all the same and holds every
upload; /readyz says so. It reads the configuration, lists, tokens and certificates again when their files change and
on SIGHUP: all of it or, if something is wrong, none. SIGTERM and SIGINT finish what was begun and take nothing new.

Exit codes: 0 told to stop; 1 a listener failed; 2 wrong usage or configuration.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return errors.New("serve: --config: name the configuration file")
			}
			return serve(cmd.Context(), file, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (see: hashmatch config doc)")
	return cmd
}

func serve(ctx context.Context, file string, stderr io.Writer) error {
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	var handler slog.Handler = slog.NewJSONHandler(stderr, nil)
	if c.Serve.LogFormat == "text" {
		handler = slog.NewTextHandler(stderr, nil)
	}
	log := slog.New(handler)
	for _, warning := range c.Check() {
		log.Warn("configuration", "where", warning.Where, "warning", warning.Text)
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	s, err := service.Open(ctx, service.Options{ConfigFile: file, Worker: workerCommand(), Version: version(), Logger: log})
	if err != nil {
		return err
	}
	reloading, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for {
			select {
			case <-reloading.Done():
				return
			case <-hangups:
				_ = s.Reload(reloading) // it is logged
			}
		}
	}()
	if err := s.Run(ctx); err != nil {
		return exit(exitMatched, fmt.Errorf("serve: %w", err))
	}
	return nil
}

// newToken makes a bearer token and the line of the tokens file that knows it by its hash.
func newToken() *cobra.Command {
	var name string
	var scopes []string
	cmd := &cobra.Command{
		Use:   "token --name NAME --scope SCOPE...",
		Short: "Make a bearer token, and the entry for the file serve.tokens",
		Long: `Make a bearer token for a caller of hashmatch serve. The token is printed on the first line: give it to the caller, it
is kept nowhere. The second line is its entry for the file that serve.tokens names, a JSON array of such entries; it
holds the token's hash only.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" || len(scopes) == 0 {
				return errors.New("token: --name and --scope must be stated")
			}
			token, hash := hook.NewToken()
			known := hook.Token{Name: name, SHA256: hash}
			for _, scope := range scopes {
				if !slices.Contains(hook.Scopes(), hook.Scope(scope)) {
					return fmt.Errorf("token: --scope %q: want one of %v", scope, hook.Scopes())
				}
				known.Scopes = append(known.Scopes, hook.Scope(scope))
			}
			entry, err := json.Marshal(known)
			if err != nil {
				return fmt.Errorf("token: %w", err)
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s\n", token, entry); err != nil {
				return exit(exitUnwritten, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the caller's name, for logs and records")
	cmd.Flags().StringArrayVar(&scopes, "scope", nil, "scan, lookup or admin; may be given again")
	return cmd
}
