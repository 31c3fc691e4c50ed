package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

func (c *command) watching() *cobra.Command {
	var shown presentation
	cmd := &cobra.Command{
		Use: "watch ID", Short: "Watch a release to its end, whoever started it", Args: cobra.ExactArgs(1),
		Long: `Watch shows a release that is under way until it ends: on a terminal as a display that is drawn over, elsewhere as
a line for each thing that happens. Interrupted, it leaves the release going on.

Exit codes are those of tagboat release.`,
		Example: `  tagboat watch orders-1-4-0-3f2a9c5d7e8b1a2c4d6f-1
  tagboat watch orders-1-4-0-3f2a9c5d7e8b1a2c4d6f-1 --events | jq -c 'select(.event == "step") | .step'`,
		ValidArgsFunction: c.completeReleases,
	}
	r := c.remote(cmd)
	shown.flags(cmd, "print the release when it has ended, as JSON and nothing else")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := c.client(r)
		if err != nil {
			return err
		}
		return c.watch(cmd.Context(), cl, args[0], shown)
	}
	return cmd
}

// presentation is how a release that is watched is shown; by itself, for people.
type presentation struct{ document, events bool }

func (p *presentation) flags(cmd *cobra.Command, document string) {
	cmd.Flags().BoolVar(&p.document, "json", false, document)
	cmd.Flags().BoolVar(&p.events, "events", false, "print a line of JSON for each thing that happens, and the release as the last one")
	cmd.MarkFlagsMutuallyExclusive("json", "events")
}

// watcher is the one for a presentation and for what stdout is.
func (c *command) watcher(shown presentation) watcher {
	switch {
	case shown.events:
		return &events{out: c.Stdout, seen: newWitness()}
	case shown.document:
		return silence{}
	case c.live():
		return &display{out: c.Stdout, size: c.size, color: c.color(), clock: c.Clock, seen: newWitness()}
	}
	return &lines{out: c.Stdout, seen: newWitness()}
}

// watch shows what happens until the end, and answers the end as an error.
func (c *command) watch(ctx context.Context, cl *client, id string, shown presentation) error {
	view, err := c.follow(ctx, cl, id, c.watcher(shown))
	if err != nil {
		return unwatched(id, view, err)
	}
	if shown.document || shown.events {
		var text json.RawMessage
		if err := cl.get(ctx, nil, &text, "releases", id); err != nil {
			return unknownEnd(id, err)
		}
		if err := c.printLast(text, shown); err != nil {
			return err
		}
	}
	return outcome(view)
}

// printLast prints the document of a release: the events' last line, or all there is.
func (c *command) printLast(text json.RawMessage, shown presentation) error {
	if shown.document {
		return c.printJSON(text)
	}
	line, err := json.Marshal(text) // in one line
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	_, err = fmt.Fprintf(c.Stdout, "%s\n", line)
	return err
}

// unwatched is the error of a release that could not be watched to its end. One that
// nobody knows, or that the server does not show, was never watched.
func unwatched(id string, last report.View, err error) error {
	if last.ID == "" && release.KindOf(err) != release.Transient {
		return err
	}
	return unknownEnd(id, err)
}
