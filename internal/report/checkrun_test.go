package report_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

func TestCheckRunsSayHowTheReleaseStands(t *testing.T) {
	for state, want := range map[release.State]struct{ conclusion, says string }{
		release.Running:         {"", "orders 1.1.0 is under way."},
		release.Waiting:         {"", "`tagboat lease` shows who holds the environment"},
		release.WaitingApproval: {"", "`tagboat approve orders-1`, or end it with `tagboat reject orders-1`"},
		release.RollingBack:     {"", "is being rolled back"},
		release.Succeeded:       {"success", "is live in"},
		release.FailedClean:     {"failure", "> the alarm rang  \n> at noon"},
		release.FailedDirty:     {"failure", "needs a hand"},
		release.Refused:         {"failure", "nothing was touched"},
		release.Rejected:        {"failure", "was rejected by alice"},
		release.Superseded:      {"cancelled", "by a newer release"},
		release.Expired:         {"timed_out", "was not approved in time"},
	} {
		rel := orders(state)
		if state == release.Rejected {
			rel.Error = "rejected by alice"
		}
		run := report.CheckRun(report.NewView(rel, nil, nil), "https://example.com/log")
		if run.Conclusion != want.conclusion || !strings.Contains(run.Summary, want.says) {
			t.Errorf("%s: concluded %q with\n%s\nwant %q with %q", state, run.Conclusion, run.Summary, want.conclusion, want.says)
		}
		if run.Name != "tagboat/orders" || run.Release != "orders-1" || run.Commit != "c0ffee" || run.Link != "https://example.com/log" {
			t.Errorf("%s: the check run is %+v", state, run)
		}
	}
}

func TestAFailureSaysWhatToDo(t *testing.T) {
	rel := orders(release.FailedClean)
	rel.Remedy = "Look at the alarm.\nThen *release* again, with <care> for @octocat | others."
	summary := report.CheckRun(report.NewView(rel, nil, nil), "").Summary
	want := "**What to do**\n\n> Look at the alarm.  \n> Then \\*release\\* again, with &lt;care&gt; for &#64;octocat \\| others."
	if !strings.Contains(summary, want) {
		t.Errorf("%s\nis not in\n%s", want, summary)
	}
}

// many is a release with a step for each of n functions.
func many(n int, name string) report.View {
	plan := &release.Plan{}
	results := map[string]release.Result{}
	for i := range n {
		site := release.Site{Environment: "prod", Account: "222222222222", Region: "us-east-1"}
		target := fmt.Sprintf("%s-%d", name, i)
		step := release.Step{
			ID: release.StepID(release.UpdateFunction, site, target), Kind: release.UpdateFunction, Target: target, Site: site,
			Change: i%3 > 0, Before: "version 1", After: "version 2",
		}
		plan.Steps = append(plan.Steps, step)
		if i%3 == 1 {
			results[step.ID] = release.Result{State: release.StepDone, After: "version 2"}
		}
	}
	return report.NewView(orders(release.Running), []*release.Plan{plan}, results)
}

// TestATableThatIsTooLongLosesItsLinksFirstThenRows, and always fits GitHub's limit.
func TestATableThatIsTooLongLosesItsLinksFirstThenRows(t *testing.T) {
	for _, test := range []struct {
		n      int
		linked bool
		left   bool
	}{{3, true, false}, {300, true, false}, {600, false, false}, {3000, false, true}} {
		summary := report.CheckRun(many(test.n, "größe"), "").Summary
		if n := utf8.RuneCountInString(summary); n > ghapi.MaxSummary {
			t.Errorf("%d steps: the summary has %d characters, want at most %d", test.n, n, ghapi.MaxSummary)
		}
		rows := strings.Count(summary, "| prod |")
		if got := strings.Contains(summary, "](https://us-east-1.console.aws.amazon.com/lambda/"); got != test.linked {
			t.Errorf("%d steps: linked %t, want %t", test.n, got, test.linked)
		}
		if got := rows < test.n; got != test.left || got != strings.Contains(summary, fmt.Sprintf("\n%d more: `tagboat show orders-1`\n", test.n-rows)) {
			t.Errorf("%d steps have %d rows, and the end is %q", test.n, rows, summary[len(summary)-100:])
		}
		if want := fmt.Sprintf("%d of %d steps that change something have come to their end; %d find things as wanted.", test.n/3, test.n*2/3, test.n/3); !strings.Contains(summary, want) {
			t.Errorf("%d steps: %q is not there", test.n, want)
		}
	}
}

// TestATableThatFitsIsWhole finds the longest table that is not cut: no further row has room.
func TestATableThatFitsIsWhole(t *testing.T) {
	length := 0
	for n := 600; n < 800; n++ {
		summary := report.CheckRun(many(n, "größe"), "").Summary
		row := summary[strings.LastIndex(strings.TrimSuffix(summary, "\n"), "\n")+1:]
		if strings.Contains(row, " more: ") {
			if room := ghapi.MaxSummary - length; room > 120 {
				t.Errorf("%d rows are cut although there was room for %d characters more", n, room)
			}
			return
		}
		length = utf8.RuneCountInString(summary)
	}
	t.Error("800 rows fit")
}

func TestLinksAreThoseOfThePartition(t *testing.T) {
	for region, want := range map[string]string{
		"eu-west-1":     "https://eu-west-1.console.aws.amazon.com/lambda/home?region=eu-west-1#/functions/orders-api/aliases/live",
		"cn-north-1":    "https://cn-north-1.console.amazonaws.cn/lambda/home?region=cn-north-1#/functions/orders-api/aliases/live",
		"us-gov-west-1": "https://us-gov-west-1.console.amazonaws-us-gov.com/lambda/home?region=us-gov-west-1#/functions/orders-api/aliases/live",
	} {
		if got := report.FunctionLink(region, "orders-api", "live"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAnEnvironmentLinksToTheFirstFunctionThatChanges(t *testing.T) {
	function := func(environment, name, alias string, change bool) release.Step {
		site := release.Site{Environment: environment, Account: "222222222222", Region: "us-east-1"}
		return release.Step{Kind: release.UpdateFunction, Target: name, Site: site, Change: change, Function: &release.FunctionStep{Alias: alias}}
	}
	plan := &release.Plan{Steps: []release.Step{
		step(release.PublishLayer, release.ToolsEnvironment, true, "version 1"),
		function("dev", "other", "live", true), function("prod", "same", "live", false), function("prod", "new", "", true), function("prod", "more", "live", true),
	}}
	for environment, want := range map[string]string{
		"prod": report.FunctionLink("us-east-1", "new", ""), "dev": report.FunctionLink("us-east-1", "other", "live"), "stage": "",
	} {
		if got := report.EnvironmentLink([]*release.Plan{plan}, environment); got != want {
			t.Errorf("%s links to %q, want %q", environment, got, want)
		}
	}
}
