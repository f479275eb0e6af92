package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/quarantine"
)

func newQuarantine() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "Read what the quarantine of a service has kept",
		Args:  commandArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return exit(exitUsage, nil)
		},
	}
	cmd.AddCommand(newExtract())
	return cmd
}

func newExtract() *cobra.Command {
	var identity, output string
	cmd := &cobra.Command{
		Use:   "extract --identity FILE --output FILE NAME.age",
		Short: "Decrypt one file of the quarantine, on the machine that has the key",
		Long: `Decrypt one file of the quarantine, on the machine that has the key. What is known of the upload is printed; its
content is written to a new file, never to a terminal. It can be content that nobody should see without need.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if identity == "" || output == "" {
				return errors.New("quarantine extract: --identity and --output must be stated")
			}
			keys, err := os.Open(identity)
			if err != nil {
				return err
			}
			defer keys.Close()
			identities, err := age.ParseIdentities(keys)
			if err != nil {
				return fmt.Errorf("--identity: %w", err)
			}
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			out, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			header, err := quarantine.Extract(out, file, identities...)
			if err = errors.Join(err, out.Close()); err != nil {
				os.Remove(output)
				return fmt.Errorf("%s: %w", printable(args[0]), err)
			}
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(header); err != nil {
				return exit(exitUnwritten, err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&identity, "identity", "", "the file of the age identity")
	cmd.Flags().StringVar(&output, "output", "", "the file to write the content to; it must not be there")
	return cmd
}
