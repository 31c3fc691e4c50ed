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

// summary is Markdown. Rows that would pass GitHub's limit are counted instead.
func summary(v View) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\nRelease `%s`, attempt %d, of %s.\n", plain(Sentence(v.Release)), v.ID, v.Attempt, plain(v.Source.String()))
	if v.Error != "" {
		fmt.Fprintf(&text, "\n**What happened**\n\n%s\n", quoted(v.Error))
	}
	if v.Remedy != "" {
		fmt.Fprintf(&text, "\n**What to do**\n\n%s\n", quoted(v.Remedy))
	}
	if len(v.Steps) == 0 {
		return text.String()
	}
	text.WriteString("\n| | environment | account | region | step | target | before → after |\n|---|---|---|---|---|---|---|\n")
	const rest = 100 // for the last line
	length := utf8.RuneCountInString(text.String())
	for i, step := range v.Steps {
		row := row(step)
		length += utf8.RuneCountInString(row)
		if length > ghapi.MaxSummary-rest {
			fmt.Fprintf(&text, "\n%d more: `tagboat show %s`\n", len(v.Steps)-i, v.ID)
			break
		}
		text.WriteString(row)
	}
	return text.String()
}

// row is a line of the table.
func row(step Step) string {
	environment := step.Environment
	if environment == "" {
		environment = "tools"
	}
	outcome := step.Before + " → " + ShortLayer(step.After)
	if step.Error != "" {
		outcome += ": " + firstLine(step.Error)
	}
	cells := []string{strings.ReplaceAll(string(step.State), "_", " "), environment, step.Account, step.Region,
		strings.ReplaceAll(string(step.Kind), "_", " "), step.Target, outcome}
	for i, cell := range cells {
		cells[i] = plain(cell)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// plain is text that Markdown shows as it is, in one line.
func plain(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "`", "\\`", "*", `\*`, "_", `\_`, "<", "&lt;", ">", "&gt;", "[", `\[`, "@", "&#64;", "#", `\#`).Replace(text)
}

// quoted is text of several lines as a quotation.
func quoted(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = "> " + plain(line)
	}
	return strings.Join(lines, "  \n")
}
