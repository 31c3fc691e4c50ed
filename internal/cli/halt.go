package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/report"
)

func (c *command) halt() *cobra.Command {
	var order app.Halting
	cmd := &cobra.Command{
		Use:   "halt ID --reason TEXT",
		Short: "Stop a release on its way, and roll back what it has under way",
		Long: `Halt stops a release before its next write. The environment that it is in goes back to what was there;
environments that it has finished keep it. One that waits for its turn or for an approval ends at once; one
that watches its traffic or bakes notices at its next look, within 30 seconds for most and five minutes at most.

Exit codes: 0 it is halted, or was before; 2 there is nothing to halt: it has ended, or rolls back already.`,
		Example: `  tagboat releases
  tagboat halt orders-1-4-0-3f2a9c5d7e8b1a2c4d6f-1 --reason "wrong build"`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeReleases,
	}
	a := c.asked(cmd)
	cmd.Flags().StringVar(&order.Reason, "reason", "", "why; kept on record")
	c.byFlag(cmd, &order.By)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needs(cmd, "reason", "by"); err != nil {
			return err
		}
		cl, err := c.client(a.remote)
		if err != nil {
			return err
		}
		var document json.RawMessage
		if err := cl.post(cmd.Context(), order, &document, "releases", args[0], "halt"); err != nil {
			return err
		}
		if a.asJSON {
			return c.printJSON(document)
		}
		view, err := read[report.View](document)
		if err != nil || view.Halted == nil {
			return err
		}
		_, err = fmt.Fprintf(c.Stdout, "%s: %s\nLook at it with: tagboat show %s\n", readable(view.ID), readable(halted(view, order)), readable(view.ID))
		return err
	}
	return cmd
}

// halted says what becomes of a halted release, and whose order it was if somebody else's came first.
func halted(view report.View, order app.Halting) string {
	by := "halted by " + view.Halted.By
	if h := view.Halted; h.By != order.By || h.Reason != strings.TrimSpace(order.Reason) {
		by = fmt.Sprintf("halted already, by %s at %s: %s", h.By, moment(h.At), h.Reason)
	}
	if view.State.Ended() {
		return by + "; it has ended: " + string(view.State) + "."
	}
	if open, ok := view.Open(); ok {
		return by + "; " + open.Name + " goes back to what was there."
	}
	return by + "; it has nothing under way to roll back."
}
