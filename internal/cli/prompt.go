package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// prompter asks a person on a terminal; nil asks nobody.
type prompter struct {
	in  *bufio.Reader
	out io.Writer
}

// prompter asks where there is a terminal to answer on.
func (c *command) prompter() *prompter {
	if !isTerminal(c.Stdin) {
		return nil
	}
	return &prompter{in: bufio.NewReader(c.Stdin), out: c.Stderr}
}

// line reads an answer, or ends as soon as ctx does: the read itself cannot be
// ended, and is left behind.
func (p *prompter) line(ctx context.Context) (string, error) {
	type read struct {
		text string
		err  error
	}
	done := make(chan read, 1)
	go func() {
		text, err := p.in.ReadString('\n')
		done <- read{strings.TrimSpace(text), err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		fmt.Fprintln(p.out)
		return "", release.Errorf(release.Transient, "interrupted; nothing was written").WithRemedy("Run it again, or give the answers as flags: tagboat init --help")
	}
}

// value is what a flag says or else the answer to a question: an empty one takes
// the suggestion, or is asked again.
func (p *prompter) value(ctx context.Context, given, flag, question, suggestion string) (string, error) {
	if given != "" {
		return given, nil
	}
	if p == nil {
		return "", noTerminal(flag)
	}
	if suggestion != "" {
		question += " [" + readable(suggestion) + "]"
	}
	for {
		fmt.Fprintf(p.out, "%s: ", question)
		answer, err := p.line(ctx)
		switch {
		case ctx.Err() != nil && err != nil:
			return "", err
		case answer != "":
			return answer, nil
		case err != nil:
			return "", noTerminal(flag) // the input ended
		case suggestion != "":
			return suggestion, nil
		}
	}
}

// noTerminal is the error of what nobody can be asked for.
func noTerminal(flag string) error {
	return release.Errorf(release.Invalid, "%s is missing, and there is no terminal to ask on", flag).
		WithRemedy("Add %s; tagboat init --help shows an example.", flag)
}

// values are those of a flag, or an answer with commas in it.
func (p *prompter) values(ctx context.Context, given []string, flag, question, suggestion string) ([]string, error) {
	answer, err := p.value(ctx, strings.Join(given, ","), flag, question, suggestion)
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

// yes asks whether to go on. Only the whole word is a yes: the end of the input
// and an interruption are none.
func (p *prompter) yes(ctx context.Context, question string) bool {
	fmt.Fprintf(p.out, "%s Type yes: ", readable(question))
	answer, err := p.line(ctx)
	return err == nil && answer == "yes"
}
