package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

const (
	// firstLook and longestLook are the waits between two looks at a release.
	firstLook   = 250 * time.Millisecond
	longestLook = 3 * time.Second
	// patience is how long the server may be away while a release is watched: it
	// takes releases up again when it starts.
	patience = 2 * time.Minute
)

// follow looks at a release until it has ended, and shows each look.
func (c *command) follow(ctx context.Context, cl *client, id string, show func(report.View)) (report.View, error) {
	wait, seen := firstLook, c.Clock.Now()
	for {
		var view report.View
		err := cl.get(ctx, nil, &view, "releases", id)
		switch {
		case err == nil:
			seen = c.Clock.Now()
			show(view)
			if view.State.Ended() {
				return view, nil
			}
		case ctx.Err() != nil || release.KindOf(err) != release.Transient || c.Clock.Now().Sub(seen) > patience:
			return view, err
		}
		if err := c.Clock.Sleep(ctx, wait); err != nil {
			return view, release.Errorf(release.Transient, "interrupted").WithRemedy("Run it again to go on watching.")
		}
		wait = min(wait*3/2, longestLook)
	}
}

// progress prints what changed since the last look, a line for each.
type progress struct {
	out   io.Writer
	said  string
	steps map[string]release.StepState
}

func (p *progress) show(view report.View) {
	for _, step := range view.Steps {
		p.step(step)
	}
	sentence := report.Sentence(view.Release)
	if sentence == p.said || view.State.Ended() && view.State != release.Succeeded {
		return // how it failed is told as the error
	}
	p.said = sentence
	fmt.Fprintln(p.out, readable(sentence))
	if view.State == release.WaitingApproval {
		fmt.Fprintf(p.out, "  next: tagboat approve %s --by NAME, or tagboat reject %s --by NAME\n", view.ID, view.ID)
	}
}

func (p *progress) step(step report.Step) {
	key := fmt.Sprintf("%s/%s/%s/%s/%s", step.Kind, step.Environment, step.Account, step.Region, step.Target)
	before, known := p.steps[key]
	p.steps[key] = step.State
	quiet := step.State == release.StepPending || step.State == release.StepUnchanged
	if known && before == step.State || !known && quiet {
		return
	}
	line := fmt.Sprintf("  %-11s %s %s %s %s: %s → %s", step.State, environmentOf(step), step.Region, step.Kind, step.Target, step.Before, step.After)
	if step.Error != "" {
		line += ": " + step.Error
	}
	fmt.Fprintln(p.out, readable(line))
}

// environmentOf is the environment of a step.
func environmentOf(step report.Step) string {
	if step.Environment == "" {
		return "tools"
	}
	return step.Environment
}
