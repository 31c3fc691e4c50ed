package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionDocument is what version --json prints.
type versionDocument struct {
	Version  string `json:"version"`
	Platform string `json:"platform"`
	Go       string `json:"go"`
}

func (c *command) version() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Example: `  tagboat version
  tagboat version --json | jq -r .version`,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				text, err := json.Marshal(versionDocument{build(), runtime.GOOS + "/" + runtime.GOARCH, runtime.Version()})
				if err != nil {
					return fmt.Errorf("version: %w", err)
				}
				return c.printJSON(text)
			}
			_, err := fmt.Fprintln(c.Stdout, versionLine())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func versionLine() string {
	return fmt.Sprintf("tagboat %s %s/%s %s", build(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// build is the module's version, or the commit that a checkout was built from.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return "devel " + setting.Value
		}
	}
	return "devel"
}
