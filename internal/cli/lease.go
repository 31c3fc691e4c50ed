package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/server"
)

func (c *command) lease() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lease",
		Short: "Tell who holds which environment, or clear one that needed a hand",
		Args:  cobra.NoArgs,
		Example: `  tagboat lease
  tagboat lease clear --app orders --environment prod --by alice --reason "alias live is at version 7 again"`,
	}
	a := c.asked(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := c.client(a.remote)
		if err != nil {
			return err
		}
		var document json.RawMessage
		if err := cl.get(cmd.Context(), nil, &document, "leases"); err != nil {
			return err
		}
		if a.asJSON {
			return c.printJSON(document)
		}
		return c.printLeases(document)
	}
	cmd.AddCommand(c.clearLease())
	return cmd
}

func (c *command) printLeases(document json.RawMessage) error {
	var leases []server.Lease
	if err := json.Unmarshal(document, &leases); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	rows := [][]string{{"APP", "ENVIRONMENT", "HELD BY", "SINCE", "WAITING", "NEEDS A HAND"}}
	for _, l := range leases {
		hand := ""
		if l.Dirty != "" {
			hand = "yes: tagboat show " + l.Release
		}
		rows = append(rows, []string{l.App, l.Environment, l.Release, moment(l.Since), strings.Join(l.Waiting, " "), hand})
	}
	return c.table(rows)
}

func (c *command) clearLease() *cobra.Command {
	var clearing app.Clearing
	cmd := &cobra.Command{
		Use:   "clear",
		Short: "Say that an environment which a release left dirty is in order again",
		Long: `Clear ends the keeping of an environment by a release that ended as failed_dirty, and lets the next one go on.
Put the targets in order first: tagboat show tells what was not restored, and how.`,
		Args:    cobra.NoArgs,
		Example: `  tagboat lease clear --app orders --environment prod --by alice --reason "alias live is at version 7 again"`,
	}
	a := c.asked(cmd)
	cmd.Flags().StringVar(&clearing.App, "app", "", "the app")
	cmd.Flags().StringVar(&clearing.Environment, "environment", "", "the environment")
	cmd.Flags().StringVar(&clearing.Reason, "reason", "", "why it is in order again; kept on record")
	c.byFlag(cmd, &clearing.By)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := needs(cmd, "app", "environment", "reason", "by"); err != nil {
			return err
		}
		cl, err := c.client(a.remote)
		if err != nil {
			return err
		}
		var document json.RawMessage
		if err := cl.post(cmd.Context(), clearing, &document, "leases", "clear"); err != nil {
			return err
		}
		if a.asJSON {
			return c.printJSON(document)
		}
		_, err = fmt.Fprintf(c.Stdout, "%s in %s is free again.\n", clearing.App, clearing.Environment)
		return err
	}
	return cmd
}
