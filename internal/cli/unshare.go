package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
)

func (c *command) unshare() *cobra.Command {
	u := &unsharing{command: c}
	cmd := &cobra.Command{
		Use:   "unshare LAYER:VERSION (--account ID | --organization | --public) --reason TEXT",
		Short: "Take a layer version back from an account, the organization or everyone",
		Long: `Unshare removes the grants by which an account, the organization or everyone uses a layer version. Functions that
have the version keep running with it, but cannot be updated with it any more. Before anything changes, it tells which
functions those are, as far as it can see, and asks; without a terminal it wants --yes.

Releases do not share that version with them again, whatever the manifest asks for, until --undo lets them.

A version that is live in an environment, or that a release under way needs there, is only taken from its account with --force.
Versions count for each region: where one number is not the same content everywhere, --in says which is meant.

Exit codes: 0 it is taken back, or was before; 2 nothing was changed; the error says whether something was before it.`,
		Example: `  tagboat unshare orders-deps:7 --account 333333333333 --dry-run
  tagboat unshare orders-deps:7 --account 333333333333 --reason "the contract has ended"
  tagboat unshare orders-deps:7 --public --in us-east-1 --reason "it was not meant to be" --yes
  tagboat unshare orders-deps:7 --account 333333333333 --undo`,
		Args: cobra.ExactArgs(1),
	}
	u.asked = c.asked(cmd)
	flags, order := cmd.Flags(), &u.order
	flags.StringVar(&order.Account, "account", "", "the account that it is taken from")
	flags.StringVar(&order.Organization, "organization", "", "take it from the organization: the registry's, or the one named like --organization=o-abc1234567")
	flags.Lookup("organization").NoOptDefVal = app.OwnOrganization
	flags.BoolVar(&order.Public, "public", false, "take it from everyone")
	flags.StringSliceVar(&order.Regions, "in", nil, "region of the version, repeatable; every one in which it is shared with them if left out")
	flags.StringVar(&order.Reason, "reason", "", "why; kept on record")
	flags.BoolVar(&order.DryRun, "dry-run", false, "tell what it would mean, and change nothing")
	flags.BoolVar(&order.Force, "force", false, "take it although releases that are live or under way need it")
	flags.BoolVar(&u.yes, "yes", false, "do not ask")
	flags.BoolVar(&u.undo, "undo", false, "let releases share it with them again")
	c.byFlag(cmd, &order.By)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		order.Layer = args[0]
		return u.run(cmd)
	}
	return cmd
}

// unsharing is one run of the subcommand.
type unsharing struct {
	*command
	asked     *asked
	order     app.Unsharing
	yes, undo bool
}

func (u *unsharing) run(cmd *cobra.Command) error {
	var err error
	switch {
	case u.undo && (u.order.DryRun || u.order.Force):
		return release.Errorf(release.Invalid, "--undo goes with neither --dry-run nor --force").WithRemedy("Run: %s --help", cmd.CommandPath())
	case u.undo:
		err = needs(cmd, "by")
	case !u.order.DryRun:
		err = needs(cmd, "reason", "by")
	}
	if err != nil {
		return err
	}
	cl, err := u.client(u.asked.remote)
	if err != nil {
		return err
	}
	if u.undo {
		return u.reshare(cmd, cl)
	}
	return u.take(cmd, cl)
}

// take tells what the order would mean, asks, and has it carried out just so.
func (u *unsharing) take(cmd *cobra.Command, cl *client) error {
	ask := u.prompter()
	if !u.order.DryRun && !u.yes && (ask == nil || u.asked.asJSON) {
		return release.Errorf(release.Invalid, "there is no terminal to ask on whether to take it back").
			WithRemedy("Look with --dry-run first, then add --yes.")
	}
	look := u.order
	look.DryRun = true
	var document json.RawMessage
	if err := cl.post(cmd.Context(), look, &document, "unshares"); err != nil {
		return err
	}
	found, err := read[app.Unshared](document)
	if err != nil {
		return err
	}
	if !u.asked.asJSON {
		if err := u.print(found); err != nil {
			return err
		}
	}
	switch {
	case u.order.DryRun && u.asked.asJSON:
		return u.printJSON(document)
	case u.order.DryRun:
		return nil
	case len(found.NeedsForce) > 0 && !u.order.Force: // the server says how to go on
	case !u.yes && toTake(found) && !ask.yes(cmd.Context(), fmt.Sprintf("Take %s from %s?", found.Layer, found.From)):
		return release.Errorf(release.Denied, "nothing was taken back: the answer was not yes").WithRemedy("Run it again, and answer yes.")
	}
	u.order.Seen = found.Seen
	if err := cl.post(cmd.Context(), u.order, &document, "unshares"); err != nil {
		return err
	}
	if u.asked.asJSON {
		return u.printJSON(document)
	}
	if found, err = read[app.Unshared](document); err != nil {
		return err
	}
	return u.printTaken(found)
}

// toTake tells whether the grant is still there somewhere.
func toTake(found app.Unshared) bool {
	for _, in := range found.Regions {
		if in.State == app.UnshareShared {
			return true
		}
	}
	return false
}

// print tells what an order would mean.
func (u *unsharing) print(found app.Unshared) error {
	var text strings.Builder
	for _, in := range found.Regions {
		also := "it stays shared with " + strings.Join(in.Stays, ", ")
		if len(in.Stays) == 0 {
			also += "nobody else"
		}
		if in.State == app.UnshareTaken {
			fmt.Fprintf(&text, "%s in %s was taken from %s already; %s.\n", found.Layer, in.Region, found.From, also)
			continue
		}
		fmt.Fprintf(&text, "%s in %s is shared with %s by %s; %s.\n", found.Layer, in.Region, found.From, strings.Join(in.Statements, ", "), also)
	}
	if _, err := fmt.Fprint(u.Stdout, readable(text.String())); err != nil {
		return err
	}
	if err := u.printFunctions(found); err != nil {
		return err
	}
	for _, unseen := range found.Unseen {
		fmt.Fprintf(u.Stdout, "not seen: %s. Those that use it keep running, too.\n", readable(unseen))
	}
	for _, need := range found.NeedsForce {
		fmt.Fprintf(u.Stderr, "warning: %s\n", readable(need))
	}
	for _, warning := range found.Warnings {
		fmt.Fprintf(u.Stderr, "warning: %s\n", readable(warning))
	}
	return nil
}

func (u *unsharing) printFunctions(found app.Unshared) error {
	if len(found.Functions) == 0 {
		_, err := fmt.Fprintln(u.Stdout, "No function that can be seen uses it by that.")
		return err
	}
	fmt.Fprintln(u.Stdout, "These functions keep running with it, and cannot be updated with it any more:")
	rows := [][]string{{"ACCOUNT", "ENVIRONMENT", "REGION", "FUNCTION", "VERSIONS", "APP"}}
	for _, f := range found.Functions {
		versions := strings.Join(f.Versions, " ")
		if versions == "" {
			versions = "by the ledger"
		}
		rows = append(rows, []string{f.Account, f.Environment, f.Region, f.Function, versions, f.App})
	}
	return u.table(rows)
}

func (u *unsharing) printTaken(found app.Unshared) error {
	var regions []string
	for _, in := range found.Regions {
		regions = append(regions, in.Region)
	}
	_, err := fmt.Fprintf(u.Stdout, "%s is taken back from %s in %s. Releases do not share it with them again; to let them: tagboat unshare %s %s --undo\n",
		readable(found.Layer), readable(found.From.String()), strings.Join(regions, ", "), readable(found.Layer), readable(found.From.Flag()))
	return err
}

// reshare lets releases share a version again.
func (u *unsharing) reshare(cmd *cobra.Command, cl *client) error {
	o := u.order
	order := app.Resharing{Layer: o.Layer, Account: o.Account, Organization: o.Organization, Public: o.Public, Regions: o.Regions, By: o.By}
	var document json.RawMessage
	if err := cl.post(cmd.Context(), order, &document, "unshares", "clear"); err != nil {
		return err
	}
	if u.asked.asJSON {
		return u.printJSON(document)
	}
	lifted, err := read[[]release.Revocation](document)
	if err != nil {
		return err
	}
	for _, r := range lifted {
		fmt.Fprintln(u.Stdout, readable(fmt.Sprintf("%s may be shared with %s again: the next release whose manifest asks for it does.", r.Layer, r.Grant)))
	}
	return nil
}

func (c *command) unshared() *cobra.Command {
	cmd := &cobra.Command{
		Use: "unshared", Short: "Tell which layer versions were taken back, from whom, why and by whom", Args: cobra.NoArgs,
		Long: `Unshared tells what tagboat unshare took back: releases do not share those versions with those again. STATE is gone where the
grant was seen to be gone, and begun where a try came to no end: the same tagboat unshare goes on.`,
		Example: "  tagboat unshared",
	}
	a := c.asked(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.ask(cmd, a, nil, []string{"unshares"}, func(_ *client, document json.RawMessage) error {
			revocations, err := read[[]release.Revocation](document)
			if err != nil {
				return err
			}
			if len(revocations) == 0 {
				_, err := fmt.Fprintln(c.Stdout, "No layer version was taken back.")
				return err
			}
			rows := [][]string{{"LAYER", "FROM", "STATE", "AT", "BY", "REASON"}}
			for _, r := range revocations {
				state := "gone"
				if r.Gone.IsZero() {
					state = "begun"
				}
				rows = append(rows, []string{r.Layer, r.Grant.String(), state, moment(r.At), r.By, r.Reason})
			}
			return c.table(rows)
		})
	}
	return cmd
}
