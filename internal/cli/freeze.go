package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

func (c *command) freeze() *cobra.Command {
	var order app.Freezing
	cmd := &cobra.Command{
		Use:   "freeze [APP] [--environment ENVIRONMENT] --until TIME --reason TEXT",
		Short: "Let no release to an app, an environment, or both, for a while",
		Long: `Freeze keeps new releases away: from an app, from an environment of every app, or from an app in one
environment. A release of what is frozen is refused; one under way ends when it comes to an environment
that is frozen, and the environments before keep it. What runs in an environment already goes on there:
tagboat halt stops it. Rollbacks always go on. tagboat release --during-freeze passes, on record.

Frozen again, the same gets the new time and reason.`,
		Example: `  tagboat freeze orders --until 2h --reason "incident 4711"
  tagboat freeze --environment prod --until 2030-12-27T08:00:00Z --reason "holidays"
  tagboat freeze orders --environment prod --until 36h --reason "the load test runs"`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeApps,
	}
	a := c.asked(cmd)
	cmd.Flags().StringVar(&order.Environment, "environment", "", "the environment; of every app if none is named")
	cmd.Flags().StringVar(&order.Until, "until", "", "a time like 2030-01-07T09:00:00Z, or how long, like 36h")
	cmd.Flags().StringVar(&order.Reason, "reason", "", "why; told to whoever is refused")
	c.byFlag(cmd, &order.By)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		order.App = first(args)
		if order.App == "" && order.Environment == "" {
			return release.Errorf(release.Invalid, "a freeze wants an app or --environment, got neither").WithRemedy("Run: %s --help", cmd.CommandPath())
		}
		if err := needs(cmd, "until", "reason", "by"); err != nil {
			return err
		}
		return c.changeFreeze(cmd, a, order, []string{"freezes"}, func(f ledger.Freeze) string {
			return fmt.Sprintf("%s is frozen until %s. To end it before: tagboat unfreeze%s", f.What(), moment(f.Until), scope(f))
		})
	}
	return cmd
}

func (c *command) unfreeze() *cobra.Command {
	var order app.Unfreezing
	cmd := &cobra.Command{
		Use:   "unfreeze [APP] [--environment ENVIRONMENT]",
		Short: "End a freeze before its time",
		Example: `  tagboat unfreeze orders
  tagboat unfreeze --environment prod`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: c.completeApps,
	}
	a := c.asked(cmd)
	cmd.Flags().StringVar(&order.Environment, "environment", "", "the environment, as it was frozen")
	c.byFlag(cmd, &order.By)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		order.App = first(args)
		if order.App == "" && order.Environment == "" {
			return release.Errorf(release.Invalid, "ending a freeze wants an app or --environment, got neither").
				WithRemedy("tagboat freezes tells what is frozen.")
		}
		if err := needs(cmd, "by"); err != nil {
			return err
		}
		return c.changeFreeze(cmd, a, order, []string{"freezes", "clear"}, func(f ledger.Freeze) string {
			return f.What() + " is not frozen any more."
		})
	}
	return cmd
}

// changeFreeze posts an order and tells what came of it.
func (c *command) changeFreeze(cmd *cobra.Command, a *asked, order any, path []string, tell func(ledger.Freeze) string) error {
	cl, err := c.client(a.remote)
	if err != nil {
		return err
	}
	var document json.RawMessage
	if err := cl.post(cmd.Context(), order, &document, path...); err != nil {
		return err
	}
	if a.asJSON {
		return c.printJSON(document)
	}
	freeze, err := read[ledger.Freeze](document)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Stdout, readable(tell(freeze)))
	return err
}

func (c *command) freezes() *cobra.Command {
	cmd := &cobra.Command{
		Use: "freezes", Short: "Tell what is frozen, until when, why and by whom", Args: cobra.NoArgs,
		Example: "  tagboat freezes",
	}
	a := c.asked(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.ask(cmd, a, nil, []string{"freezes"}, func(_ *client, document json.RawMessage) error {
			freezes, err := read[[]ledger.Freeze](document)
			if err != nil {
				return err
			}
			return c.printFreezes(freezes)
		})
	}
	return cmd
}

func (c *command) printFreezes(freezes []ledger.Freeze) error {
	if len(freezes) == 0 {
		_, err := fmt.Fprintln(c.Stdout, "Nothing is frozen.")
		return err
	}
	rows := [][]string{{"APP", "ENVIRONMENT", "UNTIL", "SINCE", "BY", "REASON"}}
	for _, f := range freezes {
		rows = append(rows, []string{all(f.App), all(f.Environment), moment(f.Until), moment(f.Since), f.By, f.Reason})
	}
	return c.table(rows)
}

// tellFreezes prints the freezes that concern what status was asked about.
func (c *command) tellFreezes(cmd *cobra.Command, cl *client, app, environment string) error {
	var freezes []ledger.Freeze
	if err := cl.get(cmd.Context(), nil, &freezes, "freezes"); err != nil {
		return err
	}
	for _, f := range freezes {
		other := app != "" && f.App != "" && f.App != app || environment != "" && f.Environment != "" && f.Environment != environment
		if other {
			continue
		}
		fmt.Fprintln(c.Stdout, readable(fmt.Sprintf("%s is frozen until %s by %s: %s", f.What(), moment(f.Until), f.By, f.Reason)))
	}
	return nil
}

// scope names a freeze as the command's arguments do.
func scope(f ledger.Freeze) string {
	text := ""
	if f.App != "" {
		text = " " + f.App
	}
	if f.Environment != "" {
		text += " --environment " + f.Environment
	}
	return text
}

func all(name string) string {
	if name == "" {
		return "(all)"
	}
	return name
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
