package main

import (
	"os"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/worker"
)

// newWorker is the child side of the decoders that run in processes of their own. It is started by this program,
// never by a person.
func newWorker() *cobra.Command {
	return &cobra.Command{
		Use:    "worker",
		Short:  "Decode for a parent process (internal)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if code := worker.Main(os.Stdin, os.Stdout); code != 0 {
				return exit(code, nil)
			}
			return nil
		},
	}
}

// workerCommand returns the command line that starts this program as a decoder; nil if it cannot be found out, which
// leaves the formats that need one unsupported.
func workerCommand() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, "worker"}
}
