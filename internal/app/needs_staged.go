package app

import (
	"context"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

// addLiveCodes adds the archives of the releases that brought what is live of an app.
func (c *Core) addLiveCodes(ctx context.Context, n *needs, app string, live []ledger.Live) error {
	seen := map[string]bool{}
	for _, l := range live {
		if l.App != app || seen[l.Release] {
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
		var good []ledger.Past
		var history history
		for _, past := range n.past {
			if progress, ok := past.Release.Environment(environment); ok && progress.State == release.EnvironmentDone {
				good, history = append(good, past), append(history, past.Release)
			}
		}
		back, err := history.target(Undo{App: app, Environment: environment})
		contents := map[string]map[string]bool{} // by artifact
		for i, past := range good {
			whole := i == 0 || err == nil && past.Release.ID == back.ID
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

// environments are those that the app's releases went through.
func (n *needs) environments() []string {
	var names []string
	seen := map[string]bool{}
	for _, past := range n.past {
		for _, progress := range past.Release.Environments {
			if !seen[progress.Name] {
				seen[progress.Name] = true
				names = append(names, progress.Name)
			}
		}
	}
	return names
}
