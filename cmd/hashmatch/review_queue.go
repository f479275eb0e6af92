package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"example.org/hashmatch/pkg/hashmatch/hook"
	"example.org/hashmatch/pkg/hashmatch/review"
)

// reviewQueue is what the commands work on: a *hook.Client or a database.
type reviewQueue interface {
	ReviewList(ctx context.Context, f hook.ReviewFilter) ([]hook.ReviewItem, string, error)
	ReviewShow(ctx context.Context, ref hook.ReviewRef) (hook.ReviewItem, error)
	ReviewDecide(ctx context.Context, d hook.ReviewDecision) error
}

// with runs a command on what the flags name.
func (f *reviewFlags) with(ctx context.Context, run func(q reviewQueue) error) error {
	if f.output != "table" && f.output != "json" {
		return fmt.Errorf("--output %q: want table or json", f.output)
	}
	if f.database != "" {
		if f.url != "" || f.tokenFile != "" {
			return errors.New("review: --database, or --url and --token-file: not both")
		}
		return withDatabase(ctx, f.database, run)
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	return run(client)
}

func (f *reviewFlags) client() (*hook.Client, error) {
	address, tokenFile := f.url, f.tokenFile
	if address == "" {
		address = os.Getenv("HASHMATCH_URL")
	}
	if tokenFile == "" {
		tokenFile = os.Getenv("HASHMATCH_TOKEN_FILE")
	}
	if address == "" {
		return nil, errors.New("review: --url: which service? or --database: which file?")
	}
	var token string
	if tokenFile != "" {
		if !f.insecure && !guarded(address) {
			return nil, errors.New("review: the token would go over the network in the clear: use https://, or --insecure if nobody listens there")
		}
		var err error
		if token, err = readToken(tokenFile); err != nil {
			return nil, fmt.Errorf("review: token file %s: %w", printable(tokenFile), err)
		}
	}
	return hook.NewClient(hook.ClientConfig{URL: address, Token: token, Timeout: 30 * time.Second})
}

// guarded reports whether what is sent to the address is encrypted or stays on this machine.
func guarded(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return err == nil
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// maxToken is the length of the longest token file, in bytes.
const maxToken = 4096

// readToken reads a token. A file that everybody can read is refused.
func readToken(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", errors.Unwrap(err)
	case !info.Mode().IsRegular():
		return "", errors.New("not a regular file")
	case info.Mode().Perm()&0o007 != 0 && runtime.GOOS != "windows":
		return "", fmt.Errorf("its mode is %04o: everybody can use the token; chmod 600 it, and have another token made", info.Mode().Perm())
	case info.Size() > maxToken:
		return "", errors.New("too long for a token")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("not one token")
	}
	return token, nil
}

// withDatabase runs a command on a database, which must be there.
func withDatabase(ctx context.Context, path string, run func(q reviewQueue) error) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("review: %s: %w", printable(path), errors.Unwrap(err))
	}
	q, err := review.Open(ctx, review.Config{File: path, Later: true})
	if errors.Is(err, review.ErrInUse) {
		return exit(exitUnreachable, fmt.Errorf("%w: a service that runs is asked with --url", err))
	}
	if err != nil {
		return err
	}
	return errors.Join(run(database{q}), q.Close())
}

// database is a review.Queue with the words of hook.
type database struct{ *review.Queue }

func (d database) ReviewList(ctx context.Context, f hook.ReviewFilter) ([]hook.ReviewItem, string, error) {
	items, next, err := d.List(ctx, review.Filter{State: review.State(f.State), Surface: f.Surface, Tenant: f.Tenant, Limit: f.Limit, Cursor: f.Cursor})
	if err != nil {
		return nil, "", err
	}
	shown := make([]hook.ReviewItem, len(items))
	for i := range items {
		if shown[i], err = asShown(items[i]); err != nil {
			return nil, "", err
		}
	}
	return shown, next, nil
}

func (d database) ReviewShow(ctx context.Context, ref hook.ReviewRef) (hook.ReviewItem, error) {
	item, err := d.Show(ctx, review.Ref(ref))
	if err != nil {
		return hook.ReviewItem{}, err
	}
	return asShown(item)
}

func (d database) ReviewDecide(ctx context.Context, decision hook.ReviewDecision) error {
	decide := d.Confirm
	if decision.Release {
		decide = d.Release
	}
	return decide(ctx, review.Ref(decision.ReviewRef), review.By{
		Actor: decision.Actor, Reason: decision.Reason, Correct: decision.Correct, Version: decision.Version,
	})
}

// asShown returns the item as the service shows it: their JSON is the same.
func asShown(item review.Item) (shown hook.ReviewItem, err error) {
	text, err := json.Marshal(item)
	if err == nil {
		err = json.Unmarshal(text, &shown)
	}
	return shown, err
}

// reviewError gives an error of a queue its exit code.
func reviewError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return exit(exitInterrupted, nil)
	}
	var problem hook.Problem
	isProblem := errors.As(err, &problem)
	var unreachable net.Error
	is := func(errs ...error) bool {
		return slices.ContainsFunc(errs, func(e error) bool { return errors.Is(err, e) })
	}
	switch {
	case is(review.ErrNotFound) || isProblem && problem.Status == 404:
		return exit(exitNoItem, printableError(err))
	case is(review.ErrDecided, review.ErrChanged, review.ErrAmbiguous) || isProblem && problem.Status == 409:
		return exit(exitConflict, printableError(err))
	case is(review.ErrWho, review.ErrFilter) || isProblem && problem.Status < 500 && problem.Status != 429:
		return exit(exitUsage, printableError(err))
	case errors.As(err, &unreachable):
		return exit(exitUnreachable, fmt.Errorf("the service cannot be reached: %w", printableError(err)))
	}
	return exit(exitUnreachable, printableError(err))
}

// printableError returns err with a text that a terminal can show: a part of it may come from another machine.
func printableError(err error) error { return errors.New(printable(err.Error())) }
