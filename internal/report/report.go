// Package report turns releases and their results into words: the sentences
// told at GitHub, the document that the command and the server show, and the
// tables people read.
package report

import (
	"fmt"
	"strings"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
)

// Sentence says in one line how a release stands.
func Sentence(rel release.Release) string {
	what := fmt.Sprintf("%s %s", rel.App, rel.Version)
	if rel.Request.DryRun && rel.State == release.Succeeded {
		return what + " was planned, nothing was changed."
	}
	switch rel.State {
	case release.Succeeded:
		return what + " is live in " + join(environments(rel, release.EnvironmentDone)) + "."
	case release.FailedClean:
		return what + " failed and was rolled back: " + firstLine(rel.Error)
	case release.FailedDirty:
		return what + " failed and needs a hand: " + firstLine(rel.Error)
	case release.Refused:
		return what + " was refused, nothing was touched: " + firstLine(rel.Error)
	case release.Superseded:
		return what + " was superseded by a newer release."
	case release.Rejected:
		return what + " was " + firstLine(rel.Error) // by whom and, if that was said, why
	case release.Expired:
		return what + " was not approved in time."
	case release.Waiting:
		return what + " waits for another release to finish."
	case release.WaitingApproval:
		return what + " waits for an approval."
	case release.RollingBack:
		return what + " is being rolled back: " + firstLine(rel.Error)
	}
	if open, ok := rel.Open(); ok {
		return what + " is being released to " + open.Name + "."
	}
	return what + " is under way."
}

// Live says in one line that an environment has a release.
func Live(rel release.Release, environment string) string {
	return fmt.Sprintf("%s %s is live in %s.", rel.App, rel.Version, environment)
}

func environments(rel release.Release, state release.EnvironmentState) []string {
	var names []string
	for _, progress := range rel.Environments {
		if progress.State == state {
			names = append(names, progress.Name)
		}
	}
	return names
}

func join(names []string) string {
	switch len(names) {
	case 0:
		return "no environment"
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// CommitState is the state of GitHub's commit status: success, failure, error or pending.
func CommitState(state release.State) string {
	switch state {
	case release.Succeeded:
		return "success"
	case release.FailedDirty:
		return "error"
	}
	if state.Ended() {
		return "failure"
	}
	return "pending"
}

// Deployment is the deployment of a release in an environment at GitHub.
func Deployment(rel release.Release, environment string) ghapi.Deployment {
	return ghapi.Deployment{
		Release: rel.ID, Commit: rel.Source.Commit, Environment: environment,
		Description: fmt.Sprintf("%s %s", rel.App, rel.Version),
		Payload:     map[string]string{"app": rel.App, "version": rel.Version},
	}
}
