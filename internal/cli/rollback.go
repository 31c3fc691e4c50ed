package cli

import (
	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
)

func (c *command) rollback() *cobra.Command {
	var undo app.Undo
	var wait bool
	var shown presentation
	cmd := &cobra.Command{
		Use:   "rollback --app APP --environment ENVIRONMENT [--to VERSION]",
		Short: "Bring the last good release of an environment back, and watch it",
		Long: `Rollback releases to one environment what was good there before: with the manifest and the
artifacts of that release as they were pinned, without a look at GitHub, and without a new approval. It is a release like any
other: smoke-tested, shifted, watched, on record, and undone if it fails. Run once more, it goes back
one further; --to says how far. Other environments keep what they have.

Exit codes are those of tagboat release.`,
		Example: `  tagboat rollback --app orders --environment prod
  tagboat rollback --app orders --environment prod --to 1.3.0
  tagboat rollback --app orders --environment prod --dry-run     tell what it would change`,
		Args: cobra.NoArgs,
	}
	r := c.remote(cmd)
	flags := cmd.Flags()
	flags.StringVar(&undo.App, "app", "", "name of the app, as in the registry")
	flags.StringVar(&undo.Environment, "environment", "", "the environment")
	flags.StringVar(&undo.To, "to", "", "the version to go back to (default: the last good one before the live one)")
	flags.BoolVar(&undo.DryRun, "dry-run", false, "tell what would be changed, and change nothing")
	flags.BoolVar(&wait, "wait", true, "wait for the end")
	shown.flags(cmd, documentUsage)
	c.byFlag(cmd, &undo.By)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if undo.App == "" || undo.Environment == "" {
			return release.Errorf(release.Invalid, "want --app and --environment, got --app %q and --environment %q", undo.App, undo.Environment).
				WithRemedy("tagboat status tells what is live where.")
		}
		cl, err := c.client(r)
		if err != nil {
			return err
		}
		w := wish{"rollbacks", undo}
		if !undo.DryRun {
			return c.start(cmd.Context(), cl, w, wait, shown)
		}
		text, err := c.planned(cmd.Context(), cl, w)
		if err != nil {
			return err
		}
		return c.printPlan(text, shown.document, false)
	}
	return cmd
}
