package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/report"
)

// display draws a release on a terminal, over what it drew before. What the release
// says of itself stays above, as in a pipe.
type display struct {
	out   io.Writer
	size  func() (width, height int)
	color bool
	clock clock.Clock
	seen  *witness

	view   report.View
	looked time.Time // when, by our own clock
	drawn  []string
}

var _ watcher = (*display)(nil)

func (d *display) show(view report.View) {
	d.view, d.looked = view, d.clock.Now()
	var said []string
	for _, h := range d.seen.see(view) {
		if text := h.sentence(); h.Event == releaseChanged && text != "" && !view.State.Ended() {
			said = append(said, strings.Split(readable(text), "\n")...)
		}
	}
	d.draw(said)
}

func (d *display) tick() { d.draw(nil) }

// draw writes everything at once, line over line, so that nothing flickers. After
// the end all lines stay, however many there are.
func (d *display) draw(said []string) {
	width, height := d.size()
	passed := d.clock.Now().Sub(d.looked)
	s := sight{width: width, height: height, color: d.color, now: d.view.AsOf.Add(passed), silent: passed}
	if d.view.State.Ended() {
		s.height, s.silent = len(d.view.Steps)+len(d.view.Staging)+len(d.view.Environments)+3, 0
	}
	var text strings.Builder
	if up := d.rows(width); up > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", up)
	}
	lines := frame(d.view, s)
	for _, line := range append(said, lines...) {
		text.WriteString("\r" + line + "\x1b[K\n")
	}
	text.WriteString("\x1b[J") // what was longer before
	d.drawn = lines
	_, _ = io.WriteString(d.out, text.String()) // a terminal that is gone hangs the process up
}

// rows is how many rows the last frame takes now: in a window that has become
// narrower, more than it has lines.
func (d *display) rows(width int) int {
	n := 0
	for _, line := range d.drawn {
		n += max(1, (widthOf(bare(line))+width-1)/width)
	}
	return n
}

// bare is a line of a frame without its colours.
func bare(line string) string {
	_, rest, colored := strings.Cut(line, "m")
	if !colored || !strings.HasPrefix(line, "\x1b[") {
		return line
	}
	return strings.TrimSuffix(rest, reset)
}
