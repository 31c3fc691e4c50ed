package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/release"
)

// counted lets a command, and all below it, tell what it takes where it got
// other arguments than that.
func counted(cmd *cobra.Command) {
	if right := cmd.Args; right != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if right(cmd, args) == nil {
				return nil
			}
			return release.Errorf(release.Invalid, "got %s, want: %s", argumentsIn(args), cmd.UseLine()).
				WithRemedy("Run: %s --help", cmd.CommandPath())
		}
	}
	for _, sub := range cmd.Commands() {
		counted(sub)
	}
}

// argumentsIn names the arguments that a command got.
func argumentsIn(args []string) string {
	switch len(args) {
	case 0:
		return "no argument"
	case 1:
		return `the argument "` + args[0] + `"`
	}
	return `the arguments "` + strings.Join(args, `" "`) + `"`
}

// needs refuses a command that lacks flags which it cannot go without, and names those.
// Blanks say nothing.
func needs(cmd *cobra.Command, flags ...string) error {
	var missing []string
	for _, flag := range flags {
		if strings.TrimSpace(cmd.Flag(flag).Value.String()) == "" {
			missing = append(missing, "--"+flag)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	remedy := fmt.Sprintf("Run: %s --help", cmd.CommandPath())
	if slices.Contains(missing, "--by") {
		remedy = "Say with --by who you are: neither GITHUB_ACTOR nor USER is set."
	}
	verb := "is"
	if len(missing) > 1 {
		verb = "are"
	}
	return release.Errorf(release.Invalid, "%s %s missing", strings.Join(missing, " and "), verb).WithRemedy("%s", remedy)
}
