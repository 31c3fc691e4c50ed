package app

import (
	"context"
	"slices"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// addLiveCodes adds the archives of the releases that brought what is live of an
// app, and the environments where it is.
func (c *Core) addLiveCodes(ctx context.Context, n *needs, app string, live []ledger.Live) error {
	seen := map[string]bool{}
	for _, l := range live {
		if l.App != app {
			continue
		}
		n.live = append(n.live, l)
		if l.Kind == ledger.LiveFunction && !slices.Contains(n.liveIn, l.Environment) {
			n.liveIn = append(n.liveIn, l.Environment)
		}
		if seen[l.Release] {
			continue
		}
		seen[l.Release] = true
		if err := c.addArtifacts(ctx, n, l.Release); err != nil {
			return err
		}
	}
	return nil
}

// addArtifacts adds what is staged for a release.
func (c *Core) addArtifacts(ctx context.Context, n *needs, id string) error {
	artifacts, err := c.Ledger.Artifacts(ctx, id)
	for _, a := range artifacts {
		n.codes[a.CodeSHA256] = true
	}
	return err
}

// brought are the digests of the archives to keep of what good releases brought
// to each environment: the newest contents of each artifact, as many as keeps
// says, and all of the releases that an environment has and would be rolled back to.
func (n *needs) brought(app string, keeps map[string]int) map[string]bool {
	kept := map[string]bool{}
	for _, environment := range n.environments() {
		good := n.good(environment)
		back, found := backFrom(app, environment, good)
		contents := map[string]map[string]bool{} // by artifact
		for i, past := range good {
			whole := i == 0 || found && past.Release.ID == back.to.ID
			for name, a := range past.Artifacts {
				if contents[name] == nil {
					contents[name] = map[string]bool{}
				}
				if whole || len(contents[name]) < keeps[forArtifact(name)] {
					contents[name][a.CodeSHA256] = true
					kept[a.CodeSHA256] = true
				}
			}
		}
	}
	return kept
}

// good are the releases that an environment kept, as [newHistory] orders them.
func (n *needs) good(environment string) []ledger.Past {
	rels, byID := make([]release.Release, len(n.past)), map[string]ledger.Past{}
	for i, past := range n.past {
		rels[i], byID[past.Release.ID] = past.Release, past
	}
	var good []ledger.Past
	for _, rel := range newHistory(environment, rels, n.live) {
		good = append(good, byID[rel.ID])
	}
	return good
}

// backFrom is how an environment would be rolled back, if the release that it would go back to is
// among the good ones that were looked at.
func backFrom(app, environment string, good []ledger.Past) (back way, found bool) {
	if len(good) == 0 {
		return way{}, false
	}
	history := make(history, len(good))
	for i, past := range good {
		history[i] = past.Release
	}
	if restored := history.live().Request.Restores; restored != "" &&
		!slices.ContainsFunc(history, func(rel release.Release) bool { return rel.ID == restored }) {
		return way{}, false
	}
	back, err := history.way(Undo{App: app, Environment: environment})
	return back, err == nil
}

// whole is an error if an environment may be rolled back to a release that is
// older than those that were looked at: nobody knows then which archives it has.
func (n *needs) whole(app string) error {
	if !n.truncated {
		return nil
	}
	for _, environment := range n.environments() {
		if _, found := backFrom(app, environment, n.good(environment)); !found {
			return release.Errorf(release.Conflict, "what %s of app %q would be rolled back to is not among its last %d releases: want it there, or no archive is deleted",
				environment, app, historyLength).
				WithRemedy("Nothing is to be done: the archives stay. Two good releases to %s that are among the last %d end it.", environment, historyLength)
		}
	}
	return nil
}

// older tells whether a content may be that of a release which is older than
// those that were looked at.
func (n *needs) older(digest string) bool {
	return n.truncated && !slices.ContainsFunc(n.past, func(past ledger.Past) bool {
		for _, a := range past.Artifacts {
			if a.CodeSHA256 == digest {
				return true
			}
		}
		return false
	})
}

// environments are those that the app's releases went through, or are live in.
func (n *needs) environments() []string {
	names := slices.Clone(n.liveIn)
	for _, past := range n.past {
		for _, progress := range past.Release.Environments {
			if !slices.Contains(names, progress.Name) {
				names = append(names, progress.Name)
			}
		}
	}
	return names
}
