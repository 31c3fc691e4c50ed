package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tagboat/tagboat/internal/ghapi"
	"github.com/tagboat/tagboat/internal/release"
)

// CheckRun is the check run of a release at GitHub: what has become of every
// target, why it failed and what to do.
func CheckRun(v View, link string) ghapi.CheckRun {
	return ghapi.CheckRun{
		ID: v.CheckRun, Release: v.ID, Name: "tagboat/" + v.App, Commit: v.Source.Commit, Conclusion: conclusion(v.State),
		Title: Sentence(v.Release), Summary: summary(v), Link: link, Started: v.Created, Completed: v.Ended,
	}
}

// conclusion is GitHub's word for an end; empty before it.
func conclusion(state release.State) string {
	switch {
	case !state.Ended():
		return ""
	case state == release.Succeeded:
		return "success"
	case state == release.Superseded:
		return "cancelled"
	case state == release.Expired:
		return "timed_out"
	}
	return "failure"
}

// summary is Markdown. What a table of all targets has no room for is left out:
// first the links, then rows, which are counted instead.
func summary(v View) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\nRelease `%s`, attempt %d, of %s.\n", plain(Sentence(v.Release)), v.ID, v.Attempt, plain(v.Source.String()))
	if v.Error != "" {
		fmt.Fprintf(&text, "\n**What happened**\n\n%s\n", quoted(v.Error))
	}
	if next := nextStep(v.Release); next != "" {
		fmt.Fprintf(&text, "\n**What to do**\n\n%s\n", next)
	}
	if len(v.Steps) == 0 {
		return text.String()
	}
	fmt.Fprintf(&text, "\n%s\n\n| | environment | account | region | step | target | before → after |\n|---|---|---|---|---|---|---|\n", progress(v.Steps))
	room := ghapi.MaxSummary - utf8.RuneCountInString(text.String())
	if linked := rows(v, true); utf8.RuneCountInString(linked) <= room {
		return text.String() + linked
	}
	return text.String() + fitting(v, rows(v, false), room)
}

// nextStep is Markdown: what a person can do about the release as it stands.
func nextStep(rel release.Release) string {
	switch {
	case rel.State == release.WaitingApproval:
		return fmt.Sprintf("Let it go on with `tagboat approve %s%s`, or end it with `tagboat reject %s`. Whoever sent it cannot approve it.",
			rel.ID, PlanFlag(Asked(rel.Environments)), rel.ID)
	case rel.State == release.Waiting:
		return "Nothing: it goes on by itself. `tagboat lease` shows who holds the environment."
	case rel.Remedy != "":
		return quoted(rel.Remedy)
	}
	return ""
}

// progress counts the steps that have come to their end.
func progress(steps []Step) string {
	changes, settled := 0, 0
	for _, step := range steps {
		switch step.State {
		case release.StepUnchanged:
			continue
		case release.StepDone, release.StepFailed, release.StepRolledBack:
			settled++
		}
		changes++
	}
	return fmt.Sprintf("%d of %d steps that change something have come to their end; %d find things as wanted.", settled, changes, len(steps)-changes)
}

func rows(v View, linked bool) string {
	var text strings.Builder
	for _, step := range v.Steps {
		text.WriteString(row(step, linked))
	}
	return text.String()
}

// fitting is the table or, if it has no room, as many whole lines as there is room for.
func fitting(v View, table string, room int) string {
	if utf8.RuneCountInString(table) <= room {
		return table
	}
	const rest = 200 // for the last line
	length, kept := 0, 0
	for line := range strings.Lines(table) {
		if length += utf8.RuneCountInString(line); length > room-rest {
			break
		}
		kept++
	}
	head := strings.Join(strings.SplitAfter(table, "\n")[:kept], "")
	return fmt.Sprintf("%s\n%d more: `tagboat show %s`\n", head, len(v.Steps)-kept, v.ID)
}

// row is a line of the table.
func row(step Step, linked bool) string {
	environment := step.Environment
	if environment == "" {
		environment = "tools"
	}
	outcome := step.Before + " → " + ShortLayer(step.After)
	if step.Error != "" {
		outcome += ": " + firstLine(step.Error)
	}
	target := plain(step.Target)
	if linked && step.Kind == release.UpdateFunction {
		target = "[" + target + "](" + FunctionLink(step.Region, step.Target, "") + ")"
	}
	cells := []string{
		plain(strings.ReplaceAll(string(step.State), "_", " ")), plain(environment), plain(step.Account), plain(step.Region),
		plain(strings.ReplaceAll(string(step.Kind), "_", " ")), target, plain(outcome),
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// escapes are what Markdown and GitHub would read something into.
var escapes = strings.NewReplacer(`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "<", "&lt;", ">", "&gt;", "[", `\[`, "@", "&#64;", "#", `\#`)

// plain is text that Markdown shows as it is, in one line.
func plain(text string) string { return escapes.Replace(strings.Join(strings.Fields(text), " ")) }

// quoted is text of several lines as a quotation.
func quoted(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = "> " + plain(line)
	}
	return strings.Join(lines, "  \n")
}
