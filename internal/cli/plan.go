package cli

import (
	"cmp"
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

// orderFlags are those that say what is to be released.
func (c *command) orderFlags(cmd *cobra.Command, order *app.Order) {
	flags := cmd.Flags()
	flags.StringVar(&order.App, "app", "", "name of the app, as in the registry")
	flags.StringVar(&order.Tag, "tag", "", "git tag to release")
	flags.StringVar(&order.Version, "version", "", "version of an upload to release")
	flags.BoolVar(&order.Force, "force", false, "take a version older than the live one")
	c.byFlag(cmd, &order.By)
}

func (c *command) byFlag(cmd *cobra.Command, by *string) {
	cmd.Flags().StringVar(by, "by", cmp.Or(c.Getenv("GITHUB_ACTOR"), c.Getenv("USER"), c.Getenv("USERNAME")), "who asks, for the record [$GITHUB_ACTOR, $USER]")
}

func checkOrder(cmd *cobra.Command, order app.Order) error {
	if order.App == "" || (order.Tag == "") == (order.Version == "") {
		return release.Errorf(release.Invalid, "want --app and either --tag or --version, got --app %q, --tag %q and --version %q",
			order.App, order.Tag, order.Version).WithRemedy("Run: %s --help", cmd.CommandPath())
	}
	return nil
}

// wish is what a person asks for, and where: the releases that orders make, or
// the rollbacks of an environment.
type wish struct {
	path string
	body any
}

func ordered(order app.Order) wish { return wish{"releases", order} }

// place sends a wish and answers the release's id. What is no release is an error.
func place(ctx context.Context, cl *client, w wish) (string, release.Answer, error) {
	var answer release.Answer
	if err := cl.post(ctx, w.body, &answer, w.path); err != nil {
		return "", answer, err
	}
	accepted := answer.Status == release.AnswerStarted || answer.Status == release.AnswerDuplicate
	if !accepted || len(answer.Releases) == 0 {
		return "", answer, release.Errorf(release.Denied, "%s (%s): %s", answer.Status, answer.Code, answer.Reason).
			WithRemedy("docs/operations.md says what %s means and what to do.", answer.Code)
	}
	return answer.Releases[0], answer, nil
}

func (c *command) plan() *cobra.Command {
	var order app.Order
	var asJSON, detailed bool
	cmd := &cobra.Command{
		Use:   "plan --app APP (--tag TAG | --version VERSION)",
		Short: "Tell what a release would change, and change nothing",
		Long: `Plan goes through everything of a release that changes nothing: it pins the tag, fetches and
checks every artifact, looks at every target and computes what would be done. It takes no lease.
What forbids the release is told all at once, with exit code 2.`,
		Example: `  tagboat plan --app orders --tag v1.4.0
  tagboat plan --app orders --version 1.4.1 --json | jq '.steps[] | select(.change)'
  tagboat plan --app orders --tag v1.4.0 --detailed-exitcode || test $? = 4`,
		Args: cobra.NoArgs,
	}
	r := c.remote(cmd)
	c.orderFlags(cmd, &order)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the plan as JSON")
	cmd.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit with 4 if there are changes")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		order.DryRun = true
		if err := checkOrder(cmd, order); err != nil {
			return err
		}
		cl, err := c.client(r)
		if err != nil {
			return err
		}
		text, err := c.planned(cmd.Context(), cl, ordered(order))
		if err != nil {
			return err
		}
		return c.printPlan(text, asJSON, detailed)
	}
	return cmd
}

// planned places a dry run, waits for its end and fetches its plan.
func (c *command) planned(ctx context.Context, cl *client, w wish) (json.RawMessage, error) {
	id, _, err := place(ctx, cl, w)
	if err != nil {
		return nil, err
	}
	view, err := c.follow(ctx, cl, id, silence{})
	if err != nil {
		return nil, err
	}
	if view.State != release.Succeeded {
		return nil, outcome(view)
	}
	var text json.RawMessage
	err = cl.get(ctx, nil, &text, "releases", id, "plan")
	return text, err
}

func (c *command) printPlan(text json.RawMessage, asJSON, detailed bool) error {
	var made release.Plan
	err := json.Unmarshal(text, &made)
	if err != nil {
		return release.Errorf(release.Internal, "the plan cannot be read: %w", err).WithRemedy("Use the command of the server's version.")
	}
	if asJSON {
		err = c.printJSON(text)
	} else {
		err = plan.Text(c.Stdout, &made, c.color())
	}
	if err != nil {
		return err
	}
	for _, step := range made.Steps {
		if step.Change && detailed {
			return coded{code: exitChanges}
		}
	}
	return nil
}
