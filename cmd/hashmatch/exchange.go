package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/config"
	"example.org/hashmatch/pkg/hashmatch/exchange/fake"
)

func newExchange() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exchange",
		Short: "Rehearse the way from an exchange to a list",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return exit(exitUsage, nil)
		},
	}
	cmd.AddCommand(newExchangeFake(), newExchangeCompare())
	return cmd
}

func newExchangeFake() *cobra.Command {
	var listen, addressFile, misbehave, prefix string
	var c fake.Config
	cmd := &cobra.Command{
		Use:   "fake --dialect DIALECT",
		Short: "Run an exchange of made-up entries that fails on demand",
		Long: `Run an exchange of made-up entries, for rehearsals: the same seed makes the same entries. It speaks plain HTTP, to this
machine only. The first line on standard output is its address.

It takes the credentials that are set in the environment, of PREFIX_USER, PREFIX_PASSWORD, PREFIX_TOKEN,
PREFIX_FUNCTION_KEY and PREFIX_SUBSCRIPTION_KEY, and asks nobody for those that are not set.

While it runs, it is changed by HTTP:

    curl ADDRESS/fake/truth                                  what it holds, for hashmatch exchange compare
    curl ADDRESS/fake/feedback                               what it was told of its entries
    curl -X POST 'ADDRESS/fake/change?n=10'                  entries are added, changed, deleted and put in force again
    curl -X POST 'ADDRESS/fake/burst?n=5000'                 so many are added in one second
    curl -X POST -d error=0.5,cut=0.2 ADDRESS/fake/misbehave   from now on; nothing means good manners

Manners, with a share of the requests from 0 to 1: error (500s), throttle (429), cut, malformed, bad-record, duplicate
(and late, older records), reorder, expire (of next pages), unauthorised, hang, endless; with a duration: slow,
skew (of its clock), date (of its
Date header only), retry-after; and changes=N after each answer, redirect=ADDRESS.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			manners, err := fake.ParseManners(misbehave)
			if err != nil {
				return fmt.Errorf("exchange fake: --misbehave: %w", err)
			}
			if !(config.Listener{Address: listen}).Loopback() {
				return fmt.Errorf("exchange fake: --listen %s: want an address of this machine only", listen)
			}
			if prefix != "" {
				c.User, c.Password, c.Token = os.Getenv(prefix+"_USER"), os.Getenv(prefix+"_PASSWORD"), os.Getenv(prefix+"_TOKEN")
				c.FunctionKey, c.SubscriptionKey = os.Getenv(prefix+"_FUNCTION_KEY"), os.Getenv(prefix+"_SUBSCRIPTION_KEY")
			}
			server, err := fake.New(c)
			if err != nil {
				return fmt.Errorf("exchange fake: %w", err)
			}
			server.Misbehave(manners)
			return serveFake(cmd.Context(), server, listen, addressFile, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "HOST:PORT of this machine")
	cmd.Flags().StringVar(&addressFile, "address-file", "", "write the address into this file once it can be asked")
	cmd.Flags().StringVar(&c.Dialect, "dialect", "", strings.Join(fake.Dialects(), ", "))
	cmd.Flags().Uint64Var(&c.Seed, "seed", 1, "what the entries are computed from")
	cmd.Flags().IntVar(&c.Entries, "entries", 1000, "how many entries there are at the start")
	cmd.Flags().IntVar(&c.PageSize, "page-size", 1000, "the most entries of an answer")
	cmd.Flags().StringVar(&misbehave, "misbehave", "", "NAME=VALUE,…: how it fails")
	cmd.Flags().StringVar(&prefix, "credentials-environment", "", "the prefix of the variables with the credentials that it takes")
	fixedCompletion(cmd, "dialect", fake.Dialects()...)
	return cmd
}

// serveFake answers until ctx ends.
func serveFake(ctx context.Context, handler http.Handler, listen, addressFile string, out io.Writer) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("exchange fake: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	address := "http://" + listener.Addr().String()
	if addressFile != "" {
		if err := os.WriteFile(addressFile, []byte(address), 0o600); err != nil {
			listener.Close()
			return exit(exitUnwritten, err)
		}
	}
	if _, err := fmt.Fprintln(out, address); err != nil {
		listener.Close()
		return exit(exitUnwritten, err)
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("exchange fake: %w", err)
	}
	return nil
}

func newExchangeCompare() *cobra.Command {
	var identities identityFlags
	cmd := &cobra.Command{
		Use:   "compare LIST TRUTH",
		Short: "Compare a list, entry by entry, with what hashmatch exchange fake holds",
		Long: `Compare a list, entry by entry, with what hashmatch exchange fake holds: TRUTH is its address, or a file of its
/fake/truth. Each entry that is lost, revived or different is named. Exit codes: 0 equal; 1 different; 2 wrong usage.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := identities.read(args[0])
			if err != nil {
				return err
			}
			truth, err := readTruth(cmd.Context(), args[1])
			if err != nil {
				return fmt.Errorf("%s: %w", printable(args[1]), err)
			}
			different := fake.Differences(list, truth)
			for _, line := range different {
				fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			if len(different) > 0 {
				return exit(exitMatched, fmt.Errorf("%d entries differ", len(different)))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: equal, %d entries\n", printable(args[0]), len(truth))
			return err
		},
	}
	identities.add(cmd)
	return cmd
}

// readTruth reads the entries of a fake exchange.
func readTruth(ctx context.Context, from string) ([]fake.Record, error) {
	var in io.ReadCloser
	if strings.HasPrefix(from, "http://") {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(from, "/")+"/fake/truth", nil)
		if err != nil {
			return nil, err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		in = answer.Body
	} else {
		file, err := os.Open(from)
		if err != nil {
			return nil, err
		}
		in = file
	}
	defer in.Close()
	var truth []fake.Record
	for d := json.NewDecoder(bufio.NewReader(in)); ; {
		var record fake.Record
		err := d.Decode(&record)
		if err == io.EOF {
			return truth, nil
		}
		if err != nil || record.ID == "" {
			return nil, errors.New("not what an exchange holds")
		}
		truth = append(truth, record)
	}
}
