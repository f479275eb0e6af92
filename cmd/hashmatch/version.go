package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"example.org/hashmatch/pkg/hashmatch/media/isolated"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and the formats that this build decodes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			commit := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						commit = s.Value
					}
				}
			}
			formats := append([]string{"jpeg", "png", "apng", "gif", "bmp"}, slices.DeleteFunc(isolated.Formats(), func(f string) bool {
				return f == "jpeg"
			})...)
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "hashmatch %s (commit %s, %s %s/%s)\ndecodes %s\n", version(), commit,
				runtime.Version(), runtime.GOOS, runtime.GOARCH, strings.Join(formats, ", "))
			return err
		},
	}
}

// version returns the version of the module that this program was built from; "unknown" if the build does not say.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
