package plan

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tagboat/tagboat/internal/release"
)

// Text prints a plan for people, as a diff by environment and site: + is made,
// ~ is changed, and what stays (=) is only counted. Color adds the terminal's
// escapes.
func Text(w io.Writer, p *release.Plan, color bool) error {
	t := &printer{plan: p, color: color}
	t.line(plain, "%s %s (release %s)", p.App, p.Version, p.Release)
	environment := ""
	for _, group := range bySite(p.Steps) {
		if group.site.Environment != environment {
			environment = group.site.Environment
			t.environment(group.site)
		}
		t.site(group)
	}
	t.warnings()
	t.summary()
	_, err := io.WriteString(w, t.text.String())
	return err
}

// group is the steps of a site.
type group struct {
	site  release.Site
	steps []release.Step
}

// bySite groups steps in the order in which their sites first appear.
func bySite(steps []release.Step) []*group {
	var groups []*group
	known := map[release.Site]*group{}
	for _, step := range steps {
		g := known[step.Site]
		if g == nil {
			g = &group{site: step.Site}
			known[step.Site] = g
			groups = append(groups, g)
		}
		g.steps = append(g.steps, step)
	}
	return groups
}

// style is how a line looks on a terminal: the parameter of the escape, ECMA-48's SGR.
type style string

const (
	plain   style = ""
	heading style = "1"
	made    style = "32"
	changed style = "33"
	removed style = "31"
	faint   style = "2"
)

type printer struct {
	plan  *release.Plan
	color bool
	text  strings.Builder

	creates, changes, unchanged int
}

// line prints one line. Names and settings come from files and accounts of
// others: control characters in them do not reach the terminal.
func (t *printer) line(s style, format string, args ...any) {
	text := strings.Map(printable, fmt.Sprintf(format, args...))
	if t.color && s != plain {
		text = "\x1b[" + string(s) + "m" + text + "\x1b[0m"
	}
	t.text.WriteString(text + "\n")
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

func (t *printer) environment(site release.Site) {
	text := environmentName(site)
	if slices.Contains(t.plan.Approvals, site.Environment) {
		text += ": somebody has to approve"
	}
	if bake := time.Duration(t.plan.Bake); bake > 0 {
		text += ", alarms watched for " + shortDuration(bake) + " after the last shift"
	}
	t.line(plain, "")
	t.line(heading, "%s", text)
}

func (t *printer) site(g *group) {
	t.line(plain, "  %s %s", g.site.Account, g.site.Region)
	unchanged := 0
	for _, step := range g.steps {
		if !step.Change {
			unchanged++
			continue
		}
		t.step(step)
	}
	if unchanged > 0 {
		t.line(faint, "    = %d unchanged", unchanged)
	}
	t.unchanged += unchanged
}

func (t *printer) step(step release.Step) {
	if creates(step) {
		t.creates++
		t.line(made, "    + %s %s", stepNames[step.Kind], step.Target)
	} else {
		t.changes++
		t.line(changed, "    ~ %s %s", stepNames[step.Kind], step.Target)
	}
	t.line(removed, "        - %s", step.Before)
	t.line(made, "        + %s", step.After)
	if step.Function != nil && step.Function.Smoke != nil {
		t.line(plain, "        smoke test: the new version is invoked before any traffic")
	}
	if step.Shift != nil && len(step.Shift.Alarms) > 0 {
		t.line(plain, "        alarms that roll back: %s", strings.Join(step.Shift.Alarms, ", "))
	}
}

var stepNames = map[release.StepKind]string{
	release.PublishLayer:   "publish layer",
	release.ShareLayer:     "share layer",
	release.UpdateFunction: "update function",
	release.ShiftTraffic:   "shift traffic of",
}

// creates tells whether a step makes something rather than change it.
func creates(step release.Step) bool {
	switch {
	case step.Layer != nil:
		return true
	case step.Share != nil:
		return step.Before == nobody
	case step.Shift != nil:
		return step.Shift.Before.Version == ""
	}
	return false
}

func (t *printer) warnings() {
	if len(t.plan.Warnings) == 0 {
		return
	}
	t.line(plain, "")
	t.line(heading, "warnings")
	for _, warning := range t.plan.Warnings {
		t.line(changed, "  ! %s", warning)
	}
}

func (t *printer) summary() {
	t.line(plain, "")
	if t.creates+t.changes == 0 {
		t.line(heading, "nothing to do: %d unchanged", t.unchanged)
		return
	}
	t.line(heading, "%d to create, %d to change, %d unchanged", t.creates, t.changes, t.unchanged)
	t.line(faint, "a look every %s during shifts, at most %d history events",
		shortDuration(time.Duration(t.plan.Poll)), t.plan.Events)
}
