package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/tagboat/tagboat/internal/release"
)

// Text prints a release with its steps, as people read it.
func Text(out io.Writer, v View) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, step := range v.Steps {
		where := step.Environment
		if where == "" {
			where = "tools"
		}
		fmt.Fprintf(table, "   %s\t%s\t%s\t%s\t%s\t%s → %s\n", Mark(step.State), where, step.Region, step.Kind, step.Target, step.Before, ShortLayer(step.After))
		if step.Error != "" {
			fmt.Fprintf(table, "     \t\t\t\t\t%s\n", firstLine(step.Error))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "   %s %s\n", strings.ToUpper(string(v.State)), Sentence(v.Release))
	if v.Remedy != "" && (v.Halted == nil || v.State.Ended()) { // a halted release is to be released again when it has ended
		fmt.Fprintf(out, "   next: %s\n", v.Remedy)
	}
	return nil
}

// Mark is one character for a step's state.
func Mark(state release.StepState) string {
	switch state {
	case release.StepDone:
		return "+"
	case release.StepUnchanged:
		return "="
	case release.StepFailed:
		return "!"
	case release.StepRolledBack:
		return "<"
	case release.StepRunning:
		return ">"
	}
	return "."
}

// ShortLayer is name:version of a layer version's ARN; any other text stays as it is.
func ShortLayer(text string) string {
	parts := strings.Split(text, ":")
	if len(parts) != 8 || parts[0] != "arn" || parts[5] != "layer" {
		return text
	}
	return parts[6] + ":" + parts[7]
}
