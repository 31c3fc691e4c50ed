package cli

import (
	"os"
	"strconv"

	"golang.org/x/term"
)

// isTerminal tells whether a person sits at the other end: a file that is a
// terminal, which /dev/null and other devices are not.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// color tells whether stdout is a terminal that wants colours (no-color.org).
func (c *command) color() bool {
	return isTerminal(c.Stdout) && c.Getenv("NO_COLOR") == "" && c.Getenv("TERM") != "dumb"
}

// live tells whether stdout is a terminal on which lines can be written over.
func (c *command) live() bool { return isTerminal(c.Stdout) && c.Getenv("TERM") != "dumb" }

// size is that of the terminal at stdout: asked for at every look, since windows
// change theirs. Where it does not say, $COLUMNS and $LINES do.
func (c *command) size() (width, height int) {
	width, height = defaultWidth, defaultHeight
	if n, err := strconv.Atoi(c.Getenv("COLUMNS")); err == nil && n > 0 {
		width = n
	}
	if n, err := strconv.Atoi(c.Getenv("LINES")); err == nil && n > 0 {
		height = n
	}
	if file, ok := c.Stdout.(*os.File); ok {
		if w, h, err := term.GetSize(int(file.Fd())); err == nil && w > 0 && h > 0 {
			return w, h
		}
	}
	return width, height
}

// What a terminal has that does not say.
const (
	defaultWidth  = 80
	defaultHeight = 24
)
