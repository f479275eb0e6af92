package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, print and document the configuration",
		Args:  commandArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return exit(exitUsage, nil)
		},
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "check FILE",
			Short: "Check a configuration and say what should be thought over",
			Long: `Check a configuration, and what it names: lists (they are read in full), keys, tokens, certificates, secrets, and
the folders of what a service makes. What keeps a scan or a service from starting, or would have it hold everything, is
an error (exit code 2), and all of them are printed; what is allowed but dangerous, such as a failure that leads to
allow, is a warning. Run it as the user that the service runs as: what that user may not read is an error too.`,
			Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				c, err := config.Load(args[0])
				if err != nil {
					return err
				}
				if _, err := c.Policy(); err != nil {
					return err
				}
				warnings, fatal := c.Check(), 0
				warnings = append(warnings, c.CheckLists(cmd.Context(), time.Now())...)
				if cmd.Context().Err() != nil {
					return exit(exitInterrupted, nil)
				}
				warnings = append(warnings, checkService(c)...)
				for _, w := range warnings {
					what := "warning"
					if w.Fatal {
						what = "error"
						fatal++
					}
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", what, w); err != nil {
						return exit(exitUnwritten, err)
					}
				}
				if fatal > 0 {
					return fmt.Errorf("%s: %d errors will keep a scan or a service from starting, or have it hold everything",
						printable(args[0]), fatal)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good, %d surfaces, %d lists, %d warnings\n", printable(args[0]),
					len(c.Declarations), len(c.Lists), len(warnings))
				return err
			},
		},
		&cobra.Command{
			Use:   "print FILE",
			Short: "Print a configuration with every default filled in",
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				c, err := config.Load(args[0])
				if err != nil {
					return err
				}
				return c.Print(cmd.OutOrStdout())
			},
		},
		&cobra.Command{
			Use:   "doc",
			Short: "Print the documentation: a configuration with every key, its default and its meaning",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				_, err := fmt.Fprint(cmd.OutOrStdout(), config.Doc())
				return err
			},
		},
	)
	return cmd
}
