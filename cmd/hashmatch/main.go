// Command hashmatch scans public uploads against industry hash lists. See `hashmatch --help` and the README.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes of every command; `scan` adds its own, see scan.go.
const (
	exitOK          = 0
	exitMatched     = 1
	exitUsage       = 2 // wrong usage, configuration or list
	exitUnscanned   = 3
	exitBoth        = 4 // matched and unscanned
	exitUnwritten   = 5 // results could not be written
	exitInterrupted = 130
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// exitError carries an exit code to main. A nil err has been reported already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exit returns an error that ends the program with code, silently if err is nil.
func exit(code int, err error) error { return &exitError{code, err} }

// run is main without the process: it parses, runs one command, and maps what came of it to an exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := interruptible(stderr)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var coded *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		if coded.err != nil {
			fmt.Fprintln(stderr, "hashmatch:", coded.err)
		}
		return coded.code
	default:
		fmt.Fprintln(stderr, "hashmatch:", err)
		return exitUsage
	}
}

// interruptible returns a context that the first interrupt or termination ends; a second one ends the process at
// once.
func interruptible(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
		case <-done:
			return
		}
		fmt.Fprintln(stderr, "hashmatch: interrupted: finishing what has begun; interrupt again to stop at once")
		cancel()
		select {
		case <-signals:
			os.Exit(exitInterrupted)
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "hashmatch",
		Short: "Match public uploads against industry hash lists, before publication",
		Long: `hashmatch hashes uploads of public, unencrypted surfaces and compares them with the hash lists that you hold.
It says allow, hold or block for each, and never calls a file clean that it could not read.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          commandArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return exit(exitUsage, nil)
		},
	}
	root.AddCommand(newScan(), newHash(), newMatch(), newList(), newExchange(), newConfig(), newServe(), newToken(), newReview(), newQuarantine(), newAudit(), newBench(), newEval(), newVersion(), newManual(), newWorker())
	return root
}

// commandArgs is the Args of a command that has commands: what is left over was meant to be one.
func commandArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
	}
	return errors.New(text)
}

// someArgs is the Args of a command that takes one argument or more; none says what is missing.
func someArgs(none string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errors.New(none)
		}
		return nil
	}
}
