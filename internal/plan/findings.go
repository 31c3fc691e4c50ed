package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// findings collects what forbids the release and what a person should know
// before it starts, so that everything is told at once.
type findings struct {
	violations []string
	warnings   []string
}

// violation adds a reason to refuse: what is wrong with want and got, and the next step.
func (f *findings) violation(nextStep, format string, args ...any) {
	f.violations = append(f.violations, fmt.Sprintf(format, args...)+"; "+nextStep)
}

func (f *findings) warning(format string, args ...any) {
	f.warnings = append(f.warnings, fmt.Sprintf(format, args...))
}

// err is one error with every violation on a line of its own; nil if there is none.
func (f *findings) err(r *release.Release) error {
	lines := tidy(f.violations)
	if len(lines) == 0 {
		return nil
	}
	noun := "violations"
	if len(lines) == 1 {
		noun = "violation"
	}
	return release.Errorf(release.Invalid, "release of %s %s cannot be planned, %d %s:\n%s",
		r.App, r.Version, len(lines), noun, strings.Join(lines, "\n")).
		WithRemedy("Nothing was changed. Do what each line says, then release again.")
}

// tidy sorts lines and leaves out repetitions.
func tidy(lines []string) []string {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	return slices.Compact(lines)
}

// at names an object at a site, the way all messages do.
func at(kind, name string, site release.Site) string {
	return fmt.Sprintf("%s %q in account %s, %s (%s)", kind, name, site.Account, site.Region, environmentName(site))
}

func environmentName(site release.Site) string {
	if site.InTools() {
		return "tools"
	}
	return site.Environment
}
