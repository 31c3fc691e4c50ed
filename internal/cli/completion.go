package cli

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
)

const (
	// completionTime is how long a shell waits for names.
	completionTime = 2 * time.Second
	// completionLimit is how many releases are offered.
	completionLimit = "30"
)

// completer tells a shell which words may come next.
type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeReleases offers the ids of the newest releases, each with what it is.
func (c *command) completeReleases(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var rels []release.Release
	c.offer(cmd, url.Values{"limit": {completionLimit}}, &rels, "releases")
	var words []string
	for _, rel := range rels {
		if strings.HasPrefix(rel.ID, begun) {
			words = append(words, cobra.CompletionWithDesc(rel.ID, readable(rel.App+" "+rel.Version+", "+string(rel.State))))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder // the newest first
}

// complete lets the flags of a command that name an app or an environment, and its
// first argument if that is an app, be completed from what is live.
func (c *command) complete(cmd *cobra.Command) {
	for _, flag := range []struct {
		name string
		of   func(ledger.Live) string
	}{{"app", appLive}, {"environment", environmentLive}} {
		if cmd.Flags().Lookup(flag.name) != nil && cmd.Flags().Lookup("server") != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag.name, c.completeLive(flag.of)) // the flag is there, and nobody registered it before
		}
	}
	for _, sub := range cmd.Commands() {
		c.complete(sub)
	}
}

func appLive(l ledger.Live) string { return l.App }

func environmentLive(l ledger.Live) string {
	if l.Environment == release.ToolsEnvironment {
		return ""
	}
	return l.Environment
}

// completeLive offers the names of one kind of what is live.
func (c *command) completeLive(of func(ledger.Live) string) completer {
	return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		var live []ledger.Live
		c.offer(cmd, nil, &live, "live")
		var words []string
		for _, l := range live {
			if name := of(l); name != "" && strings.HasPrefix(name, begun) {
				words = append(words, readable(name))
			}
		}
		slices.Sort(words)
		return slices.Compact(words), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeApps is for a first argument that is an app.
func (c *command) completeApps(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeLive(appLive)(cmd, nil, begun)
}

// offer reads a document for a shell. Where nobody answers in time there is
// nothing to offer, and nobody to tell.
func (c *command) offer(cmd *cobra.Command, query url.Values, into any, path string) {
	r := &remote{flags: cmd.Flags()}
	r.address, _ = cmd.Flags().GetString("server")
	r.stack, _ = cmd.Flags().GetString("stack")
	r.region, _ = cmd.Flags().GetString("region")
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	if cl, err := c.client(r); err == nil {
		_ = cl.get(ctx, query, into, path)
	}
}
