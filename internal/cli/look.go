package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// asked are the things that a subcommand which only looks does with an answer.
type asked struct {
	remote *remote
	asJSON bool
}

func (c *command) asked(cmd *cobra.Command) *asked {
	a := &asked{remote: c.remote(cmd)}
	cmd.Flags().BoolVar(&a.asJSON, "json", false, "print JSON")
	return a
}

// ask gets a document and prints it: as it is, or as text.
func (c *command) ask(cmd *cobra.Command, a *asked, query url.Values, path []string, text func(cl *client, document json.RawMessage) error) error {
	cl, err := c.client(a.remote)
	if err != nil {
		return err
	}
	var document json.RawMessage
	if err := cl.get(cmd.Context(), query, &document, path...); err != nil {
		return err
	}
	if a.asJSON {
		return c.printJSON(document)
	}
	return text(cl, document)
}

func read[T any](document json.RawMessage) (v T, err error) {
	if err := json.Unmarshal(document, &v); err != nil {
		return v, release.Errorf(release.Internal, "the server's answer cannot be read: %w", err).
			WithRemedy("Use the command of the server's version.")
	}
	return v, nil
}

func (c *command) status() *cobra.Command {
	var app, environment string
	cmd := &cobra.Command{
		Use: "status", Short: "Tell what is live where, since when and from which commit", Args: cobra.NoArgs,
		Example: `  tagboat status
  tagboat status --app orders --environment prod
  tagboat status --json | jq -r '.[] | select(.kind == "function") | .name'`,
	}
	a := c.asked(cmd)
	cmd.Flags().StringVar(&app, "app", "", "only this app")
	cmd.Flags().StringVar(&environment, "environment", "", "only this environment")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.ask(cmd, a, values("app", app, "environment", environment), []string{"live"}, func(cl *client, document json.RawMessage) error {
			live, err := read[[]ledger.Live](document)
			if err != nil {
				return err
			}
			if err := c.printLive(live, nothingLive(app, environment)); err != nil {
				return err
			}
			return c.tellFreezes(cmd, cl, app, environment)
		})
	}
	return cmd
}

// nothingLive says so of what was asked for: a name may be mistyped.
func nothingLive(app, environment string) string {
	if app+environment == "" {
		return "Nothing was released there yet."
	}
	return "Nothing" + only("of app", app) + " was released" + only("to environment", environment) + " yet; tagboat status tells what was."
}

// only is what a flag narrows an answer to; empty without the flag.
func only(what, name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" %s %q", what, name)
}

func (c *command) printLive(live []ledger.Live, nothing string) error {
	if len(live) == 0 {
		_, err := fmt.Fprintln(c.Stdout, nothing)
		return err
	}
	rows := [][]string{{"APP", "ENVIRONMENT", "ACCOUNT", "REGION", "NAME", "VERSION", "RUNS", "COMMIT", "SINCE"}}
	for _, l := range live {
		environment := l.Environment
		if environment == release.ToolsEnvironment {
			environment = "tools"
		}
		rows = append(rows, []string{
			l.App, environment, l.Account, l.Region, l.Name, l.Version, short(l), fmt.Sprintf("%.7s", l.Commit), moment(l.Since),
		})
	}
	return c.table(rows)
}

// short is what a target runs: a function's version, or name and version of a layer's ARN.
func short(l ledger.Live) string {
	if _, version, found := strings.Cut(l.Detail, ":layer:"); found {
		return version
	}
	return l.Detail
}

func (c *command) releases() *cobra.Command {
	var app string
	var limit int
	var plans bool
	cmd := &cobra.Command{
		Use: "releases", Short: "List releases, the newest first", Args: cobra.NoArgs,
		Example: `  tagboat releases
  tagboat releases --app orders --limit 5`,
	}
	a := c.asked(cmd)
	cmd.Flags().StringVar(&app, "app", "", "only this app")
	cmd.Flags().IntVar(&limit, "limit", 20, "at most this many")
	cmd.Flags().BoolVar(&plans, "plans", false, "also those that were only planned")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := values("app", app, "limit", strconv.Itoa(limit))
		if plans {
			query.Set("dry_runs", "true")
		}
		return c.ask(cmd, a, query, []string{"releases"}, func(_ *client, document json.RawMessage) error {
			rels, err := read[[]release.Release](document)
			if err != nil {
				return err
			}
			return c.printReleases(rels, app)
		})
	}
	return cmd
}

func (c *command) printReleases(rels []release.Release, app string) error {
	if len(rels) == 0 {
		_, err := fmt.Fprintf(c.Stdout, "There are no releases%s yet.\n", only("of app", app))
		return err
	}
	rows := [][]string{{"CREATED", "APP", "VERSION", "STATE", "BY", "TRIGGER", "ID"}}
	for _, rel := range rels {
		rows = append(rows, []string{
			moment(rel.Created), rel.App, rel.Version, string(rel.State), rel.Request.Actor, rel.Request.Trigger, rel.ID,
		})
	}
	return c.table(rows)
}

func (c *command) show() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a release: every step, and why it failed", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeReleases,
		Example: `  tagboat show orders-1-4-0-3f2a9c5d7e8b1a2c4d6f-1`,
	}
	a := c.asked(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.ask(cmd, a, nil, []string{"releases", args[0]}, func(cl *client, document json.RawMessage) error {
			view, err := read[report.View](document)
			if err != nil {
				return err
			}
			return c.printView(cl, view)
		})
	}
	return cmd
}

func (c *command) printView(cl *client, view report.View) error {
	rows := [][]string{
		{"release", view.ID},
		{"app", fmt.Sprintf("%s %s, attempt %d", view.App, view.Version, view.Attempt)},
		{"source", source(view.Source)},
		{"asked", fmt.Sprintf("by %s (%s) at %s", name(view.Request.Actor), view.Request.Trigger, moment(view.Created))},
	}
	if freeze := view.Request.DuringFreeze; freeze != "" {
		rows = append(rows, []string{"freeze", "passed: " + freeze})
	}
	if h := view.Halted; h != nil {
		rows = append(rows, []string{"halted", fmt.Sprintf("by %s at %s: %s", h.By, moment(h.At), h.Reason)})
	}
	for _, cleared := range view.Cleared {
		rows = append(rows, []string{"cleared", fmt.Sprintf("%s, by %s at %s: %s", cleared.Environment, cleared.By, moment(cleared.At), cleared.Reason)})
	}
	if !view.Ended.IsZero() {
		rows = append(rows, []string{"ended", fmt.Sprintf("%s, after %s", moment(view.Ended), view.Ended.Sub(view.Created).Round(time.Second))})
	}
	if view.Plan != (release.Pointer{}) {
		rows = append(rows, []string{"plan", cl.plan(view)})
	}
	if err := c.table(rows); err != nil {
		return err
	}
	var text strings.Builder
	if err := report.Text(&text, view); err != nil {
		return err
	}
	if strings.Contains(view.Error, "\n") { // the sentence has its first line
		fmt.Fprintf(&text, "   %s\n", strings.ReplaceAll(view.Error, "\n", "\n   "))
	}
	if view.State == release.WaitingApproval {
		fmt.Fprintf(&text, "   next: %s\n", answers(view.ID, report.Asked(view.Environments)))
	}
	for _, environment := range view.Environments {
		if environment.State == release.EnvironmentDirty && !slices.ContainsFunc(view.Cleared, func(c report.Cleared) bool { return c.Environment == environment.Name }) {
			fmt.Fprintf(&text, "   then: tagboat lease clear --app %s --environment %s --by NAME --reason TEXT\n", view.App, environment.Name)
		}
	}
	_, err := fmt.Fprint(c.Stdout, readable(text.String()))
	return err
}

// plan is where the plan of a release can be read.
func (c *client) plan(view report.View) string {
	if _, installed := c.http.Transport.(*stack); installed {
		return view.Plan.Key + " in the state bucket"
	}
	return c.url(nil, "releases", view.ID, "plan")
}

func source(s release.Source) string {
	if s.Commit == "" {
		return s.String()
	}
	return fmt.Sprintf("%s at commit %s", s, s.Commit)
}

func name(actor string) string {
	if actor == "" {
		return "somebody"
	}
	return actor
}

// answer is the subcommand that approves or, else, rejects.
func (c *command) answer(approve bool) *cobra.Command {
	verb, means := "approve", "Approve a release that waits for it; its sender cannot"
	if !approve {
		verb, means = "reject", "Reject a release that waits for an approval"
	}
	var decision app.Decision
	cmd := &cobra.Command{
		Use: verb + " ID", Short: means, Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeReleases,
		Example: fmt.Sprintf("  tagboat releases\n  tagboat %s orders-1-4-0-3f2a9c5d7e8b1a2c4d6f-1 --by alice", verb),
	}
	a := c.asked(cmd)
	c.byFlag(cmd, &decision.By)
	cmd.Flags().StringVar(&decision.Plan, "plan", "", "the plan that the answer is for, as tagboat show tells; refused if the release asks about another")
	if !approve {
		cmd.Flags().StringVar(&decision.Reason, "reason", "", "why; kept on record, and told at GitHub")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needs(cmd, "by"); err != nil {
			return err
		}
		cl, err := c.client(a.remote)
		if err != nil {
			return err
		}
		var document json.RawMessage
		if err := cl.post(cmd.Context(), decision, &document, "releases", args[0], verb); err != nil {
			return err
		}
		if a.asJSON {
			return c.printJSON(document)
		}
		_, err = fmt.Fprintf(c.Stdout, "%s: %s by %s. Look at it with: tagboat show %s\n",
			readable(args[0]), past(approve), readable(answeredBy(document, decision.By)), readable(args[0]))
		return err
	}
	return cmd
}

// answeredBy is whose answer stands: the first of those who gave the same.
func answeredBy(document json.RawMessage, by string) string {
	var view report.View
	if json.Unmarshal(document, &view) != nil {
		return by
	}
	for _, progress := range view.Environments {
		if a := progress.Approval; a != nil && progress.State == release.EnvironmentPending && a.IsAnswered() {
			return a.By
		}
	}
	return by
}

// answers are the commands that answer a release which waits for an approval of a plan, where that is known.
func answers(id, plan string) string {
	return fmt.Sprintf("tagboat approve %s%s --by NAME, or tagboat reject %s --by NAME", id, report.PlanFlag(plan), id)
}

func past(approve bool) string {
	if approve {
		return "approved"
	}
	return "rejected"
}

// values are those of pairs that are not empty.
func values(pairs ...string) url.Values {
	query := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	return query
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// table prints rows in columns.
func (c *command) table(rows [][]string) error {
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = strings.NewReplacer("\n", " ", "\t", " ").Replace(readable(cell))
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
