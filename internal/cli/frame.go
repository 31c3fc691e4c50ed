package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"

	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// sight is what a frame is drawn for.
type sight struct {
	width, height int
	color         bool
	// now is the time by the clock that the view's times are of.
	now time.Time
	// silent is since when nobody answers.
	silent time.Duration
}

const (
	// silenceTold is how long the server may be silent without a word of it.
	silenceTold = 10 * time.Second
	// barWidth is that of a bar with its brackets, where there is room.
	barWidth = 22
)

// frame is a release as lines that fit the terminal: how it stands, a line for each
// artifact that is staged, each step and each bake, with the most important ones
// kept where there is not enough room.
func frame(view report.View, s sight) []string {
	head := row{text: plainLine(report.Sentence(view.Release)), rank: rankHead}
	if elapsed := s.now.Sub(view.Created); !view.State.Ended() && elapsed > 0 && !view.Created.IsZero() {
		head.text += "  " + lasting(elapsed)
	}
	rows := []row{head}
	for _, how := range view.Staging {
		rows = append(rows, stagingRow(how, s))
	}
	rows = append(rows, stepRows(view.Steps, s)...)
	for _, progress := range view.Environments {
		if left := progress.BakeEnds.Sub(s.now); !progress.BakeEnds.IsZero() {
			text := fmt.Sprintf("  ~ %s bakes: its alarms are watched, %s left", plainLine(progress.Name), lasting(left))
			rows = append(rows, row{text: text, rank: rankActive})
		}
	}
	if s.silent >= silenceTold {
		rows = append(rows, row{text: "  no answer since " + lasting(s.silent) + "; the release goes on", rank: rankActive, color: yellow})
	}
	rows = fitHeight(rows, s.height)
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = r.paint(s)
	}
	return lines
}

// row is a line of a frame.
type row struct {
	text, color string
	rank        int
	// word is what is counted of it where there is no room.
	word string
}

// The lower the rank, the longer a row stays.
const (
	rankHead = iota
	rankFailed
	rankActive
	rankPending
	rankDone
	rankUnchanged
)

const (
	green  = "\x1b[32m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	dim    = "\x1b[2m"
	reset  = "\x1b[0m"
)

// paint cuts a row to the terminal and colours it. The last column stays empty:
// many terminals begin a new line after it.
func (r row) paint(s sight) string {
	text := cut(r.text, s.width-1)
	if s.color && r.color != "" {
		return r.color + text + reset
	}
	return text
}

func stagingRow(how release.Staging, s sight) row {
	r := row{rank: rankActive, color: cyan, word: "under way"}
	mark, what := ">", string(how.State)
	switch how.State {
	case release.Staged:
		r, mark = row{rank: rankDone, color: green, word: "done"}, "+"
	case release.Storing:
		what += " in " + how.Region
	}
	size := bytesOf(how.Done)
	if how.Total > 0 && how.State != release.Staged {
		size = bar(how.Done, how.Total, s.width) + " " + bytesOf(how.Done) + " of " + bytesOf(how.Total)
	}
	r.text = plainLine(fmt.Sprintf("  %s artifact %s: %s %s", mark, how.Artifact, what, size))
	return r
}

// stepRows are the steps in columns. Those that find everything as wanted share a line.
func stepRows(steps []report.Step, s sight) []row {
	var rows []row
	var cells [][]string
	unchanged := 0
	for _, step := range steps {
		if step.State == release.StepUnchanged {
			unchanged++
			continue
		}
		rows = append(rows, rowOf(step.State))
		cells = append(cells, []string{
			"  " + report.Mark(step.State), environmentOf(step), step.Region, strings.ReplaceAll(string(step.Kind), "_", " "), step.Target, detail(step, s),
		})
	}
	for i, text := range columns(cells) {
		rows[i].text = text
	}
	if unchanged > 0 {
		rows = append(rows, row{text: fmt.Sprintf("  = %s as wanted already", count(unchanged, "object")), rank: rankUnchanged, color: dim})
	}
	return rows
}

func rowOf(state release.StepState) row {
	switch state {
	case release.StepDone:
		return row{rank: rankDone, color: green, word: "done"}
	case release.StepFailed:
		return row{rank: rankFailed, color: red, word: "failed"}
	case release.StepRolledBack:
		return row{rank: rankFailed, color: yellow, word: "rolled back"}
	case release.StepRunning:
		return row{rank: rankActive, color: cyan, word: "under way"}
	}
	return row{rank: rankPending, color: dim, word: "to come"}
}

// detail is what there is to say of a step besides its name.
func detail(step report.Step, s sight) string {
	switch step.State {
	case release.StepRunning:
		if step.Weight == 0 {
			return since(step, s)
		}
		text := fmt.Sprintf("%s %3d %%", bar(int64(step.Weight), 100, s.width), step.Weight)
		if left := step.NextAt.Sub(s.now); !step.NextAt.IsZero() {
			text += ", next part in " + lasting(left)
		}
		return text
	case release.StepFailed:
		return step.Error
	case release.StepRolledBack:
		return "back to " + report.ShortLayer(step.After)
	case release.StepDone:
		return step.Before + " → " + report.ShortLayer(step.After)
	}
	return ""
}

func since(step report.Step, s sight) string {
	if step.Since.IsZero() || s.now.Before(step.Since) {
		return ""
	}
	return "for " + lasting(s.now.Sub(step.Since))
}

// fitHeight leaves out the least important rows of a frame that is higher than the
// terminal, and says how many: what has scrolled away cannot be drawn over.
func fitHeight(rows []row, height int) []row {
	room := height - 1 // the cursor stands below
	if room < 2 || len(rows) <= room {
		return rows[:min(len(rows), max(room, 1))]
	}
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return rows[a].rank - rows[b].rank })
	kept, left := order[:room-1], order[room-1:]
	slices.Sort(kept)
	shown := make([]row, 0, room)
	for _, i := range kept {
		shown = append(shown, rows[i])
	}
	var words []string
	number := map[string]int{}
	for _, i := range left {
		word := rows[i].word
		if word != "" && number[word] == 0 {
			words = append(words, word)
		}
		number[word]++
	}
	for i, word := range words {
		words[i] = fmt.Sprintf("%d %s", number[word], word)
	}
	text := fmt.Sprintf("  … %d more", len(left))
	if len(words) > 0 {
		text += ": " + strings.Join(words, ", ")
	}
	return append(shown, row{text: text, color: dim})
}

// bar is how much of a whole there is, drawn in a quarter of the terminal at most.
func bar(done, total int64, terminal int) string {
	inside := max(4, min(barWidth, terminal/4)-2)
	full := int(min(done, total) * int64(inside) / total)
	if done > 0 && full == 0 {
		full = 1
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", inside-full) + "]"
}

// columns pads all cells but the last of each row to the widest of their column.
func columns(cells [][]string) []string {
	var widest []int
	for _, line := range cells {
		for i := range line {
			line[i] = plainLine(line[i])
			if i == len(widest) {
				widest = append(widest, 0)
			}
			widest[i] = max(widest[i], widthOf(line[i]))
		}
	}
	texts := make([]string, len(cells))
	for n, line := range cells {
		var text strings.Builder
		for i, cell := range line {
			text.WriteString(cell)
			if i < len(line)-1 {
				text.WriteString(strings.Repeat(" ", widest[i]-widthOf(cell)+1))
			}
		}
		texts[n] = strings.TrimRight(text.String(), " ")
	}
	return texts
}

// plainLine is the first line of what others wrote, with nothing in it that a terminal acts on.
func plainLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return strings.ReplaceAll(readable(text), "\t", " ")
}

// cut shortens a text to a number of columns.
func cut(text string, columns int) string {
	if widthOf(text) <= columns {
		return text
	}
	used := 0
	for i, r := range text {
		used += widthOf(string(r))
		if used > columns-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// widthOf is how many columns of a terminal a text takes.
func widthOf(text string) int {
	n := 0
	for _, r := range text {
		switch kind := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// lasting is a duration to the second, as people read it.
func lasting(d time.Duration) string { return max(d, 0).Truncate(time.Second).String() }

// bytesOf is a size as people read it.
func bytesOf(n int64) string {
	const kilo = 1000
	switch {
	case n < kilo:
		return fmt.Sprintf("%d B", n)
	case n < kilo*kilo:
		return fmt.Sprintf("%.1f kB", float64(n)/kilo)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/kilo/kilo)
}
