package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// prompter asks a person on a terminal; nil asks nobody.
type prompter struct {
	in  *bufio.Reader
	out io.Writer
}

// prompter asks where there is a terminal on both sides.
func (c *command) prompter() *prompter {
	file, ok := c.Stdin.(*os.File)
	if !ok {
		return nil
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return &prompter{in: bufio.NewReader(file), out: c.Stderr}
}

// value is what a flag says or else the answer to a question: an empty one takes
// the suggestion, or is asked again.
func (p *prompter) value(given, flag, question, suggestion string) (string, error) {
	if given != "" {
		return given, nil
	}
	missing := release.Errorf(release.Invalid, "%s is missing, and there is no terminal to ask on", flag).WithRemedy("Add %s; tagboat init --help shows an example.", flag)
	if p == nil {
		return "", missing
	}
	if suggestion != "" {
		question += " [" + readable(suggestion) + "]"
	}
	for {
		fmt.Fprintf(p.out, "%s: ", question)
		answer, err := p.in.ReadString('\n')
		answer = strings.TrimSpace(answer)
		switch {
		case answer != "":
			return answer, nil
		case err != nil:
			return "", missing // the input ended
		case suggestion != "":
			return suggestion, nil
		}
	}
}

// values are those of a flag, or an answer with commas in it.
func (p *prompter) values(given []string, flag, question, suggestion string) ([]string, error) {
	answer, err := p.value(strings.Join(given, ","), flag, question, suggestion)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, each := range strings.Split(answer, ",") {
		if each = strings.TrimSpace(each); each != "" {
			all = append(all, each)
		}
	}
	return all, nil
}
