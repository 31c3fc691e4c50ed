package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

func (c *command) release() *cobra.Command {
	var order app.Order
	var wait bool
	var shown presentation
	cmd := &cobra.Command{
		Use:   "release --app APP (--tag TAG | --version VERSION)",
		Short: "Release a tag or an upload by hand, and watch it",
		Long: `Release does by hand what the push of a tag or an upload does: the same tag or upload is the same
release, once. It prints what happens until the end; interrupted, it leaves the release going on.

Exit codes: 0 succeeded; 1 failed, and what was changed was rolled back; 2 refused, nothing was
touched; 3 failed and needs a hand. A release that was rejected, superseded or not approved in time
counts as 2 if no environment was touched, else as 1.`,
		Example: `  tagboat release --app orders --tag v1.4.0
  tagboat release --app orders --tag v1.4.0 --retry     again, after a failure
  tagboat release --app orders --tag v1.3.0 --retry --force   back to an older version
  tagboat release --app orders --version 1.4.1 --wait=false`,
		Args: cobra.NoArgs,
	}
	r := c.remote(cmd)
	c.orderFlags(cmd, &order)
	cmd.Flags().BoolVar(&order.Retry, "retry", false, "make the next attempt of a release that failed")
	cmd.Flags().StringVar(&order.DuringFreeze, "during-freeze", "", "pass freezes; say why it cannot wait, for the record")
	cmd.Flags().BoolVar(&wait, "wait", true, "wait for the end")
	shown.flags(cmd, documentUsage)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOrder(cmd, order); err != nil {
			return err
		}
		cl, err := c.client(r)
		if err != nil {
			return err
		}
		return c.start(cmd.Context(), cl, ordered(order), wait, shown)
	}
	return cmd
}

// documentUsage is that of --json where a release is started.
const documentUsage = "print the release when it has ended, or without --wait the answer, as JSON and nothing else"

// start places a wish and, if it is to wait, watches the release to its end.
func (c *command) start(ctx context.Context, cl *client, w wish, wait bool, shown presentation) error {
	if shown.events && !wait {
		return release.Errorf(release.Invalid, "--events and --wait=false: what is not waited for has no events to print").
			WithRemedy("Leave one of them out; tagboat watch ID --events watches it later.")
	}
	id, answer, err := place(ctx, cl, w)
	switch {
	case err != nil:
		return err
	case !wait:
		return c.printAnswer(answer, shown.document)
	case !shown.document && !shown.events:
		fmt.Fprintf(c.Stdout, "%s\n", readable(answer.Reason))
	}
	return c.watch(ctx, cl, id, shown)
}

func (c *command) printAnswer(answer release.Answer, asJSON bool) error {
	if asJSON {
		text, err := json.Marshal(answer)
		if err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		return c.printJSON(text)
	}
	_, err := fmt.Fprintf(c.Stdout, "%s\nLook at it with: tagboat show %s\n", readable(answer.Reason), answer.Releases[0])
	return err
}

// unknownEnd is the error of a release that was not watched to its end.
func unknownEnd(id string, err error) error {
	return coded{exitDirty, release.Errorf(release.KindOf(err), "%w; release %s goes on without being watched", err, id).
		WithRemedy("Look at it with: tagboat show %s", id)}
}

// outcome is the end of a release as an error; nil if it succeeded.
func outcome(view report.View) error {
	if view.State == release.Succeeded {
		return nil
	}
	kind, code := release.Internal, exitFailed
	switch view.State {
	case release.Refused:
		kind, code = release.Denied, exitRefused
	case release.FailedDirty:
		code = exitDirty
	case release.Rejected, release.Superseded, release.Expired:
		if kind = release.Denied; untouched(view) {
			code = exitRefused
		}
	}
	message := view.Error
	if message == "" {
		message = report.Sentence(view.Release)
	}
	return coded{code, release.Errorf(kind, "release %s: %s: %s", view.ID, view.State, message).
		WithRemedy("%s", cmp.Or(view.Remedy, "Look at it with: tagboat show "+view.ID))}
}

// untouched tells whether the release came into no environment.
func untouched(view report.View) bool {
	for _, progress := range view.Environments {
		if progress.State != release.EnvironmentPending {
			return false
		}
	}
	return true
}
