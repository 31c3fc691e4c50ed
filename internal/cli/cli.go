// Package cli is the tagboat command: one file per subcommand.
//
// What a subcommand finds out goes to stdout, as text or with --json as one
// document; what went wrong goes to stderr, with the next step on the line
// after it. The exit codes are those of [Main].
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/release"
)

// The exit codes of the command.
const (
	exitDone = 0
	// exitFailed: a release failed and was rolled back.
	exitFailed = 1
	// exitRefused: bad input or usage, or refused; nothing was touched.
	exitRefused = 2
	// exitDirty: a release failed and needs a hand, or nobody knows how it ended.
	exitDirty = 3
	// exitChanges: plan --detailed-exitcode, and there are changes.
	exitChanges = 4
)

// IO is what the command has of the process around it.
type IO struct {
	Stdin          io.Reader // nil: nobody is asked
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Clock          clock.Clock
}

// Process is the IO of this process.
func Process() IO {
	return IO{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Clock: clock.System{}}
}

// Main runs the command until it ends or is told to by SIGINT or SIGTERM, and
// answers its exit code: 0 done; 1 failed, rolled back; 2 bad input or usage or
// refused, nothing touched; 3 failed, needs a hand; 4 plan --detailed-exitcode:
// there are changes.
func Main(args []string, std IO) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	return run(ctx, args, std)
}

func run(ctx context.Context, args []string, std IO) int {
	root := (&command{std}).root()
	root.SetArgs(args)
	return finish(std, root.ExecuteContext(ctx))
}

// command makes the subcommands.
type command struct{ IO }

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "tagboat",
		Short: "Push a git tag, or drop an artifact in a bucket; your own AWS account does the rest",
		Long: `Tagboat publishes Lambda layers, shares them with other accounts and moves functions in many
accounts and regions to new code, gradually, watched by alarms, and rolled back when something
goes wrong.

Exit codes: 0 done; 1 failed and rolled back; 2 bad input or refused, nothing touched;
3 failed, needs a hand; 4 plan --detailed-exitcode: there are changes.`,
		Example: `  tagboat demo                                  see a whole release, without any account
  tagboat validate registry.yaml tagboat.yaml   check the two files
  tagboat plan --app orders --tag v1.4.0        what would change
  tagboat release --app orders --tag v1.4.0     release it and watch
  tagboat status --environment prod             what is live where
  tagboat rollback --app orders --environment prod   back to the last good release, and watch`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(c.Stdout)
	root.SetErr(c.Stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return release.Errorf(release.Invalid, "%w", err).WithRemedy("Run: %s --help", cmd.CommandPath())
	})
	root.AddGroup(&cobra.Group{ID: groupLook, Title: "Look:"}, &cobra.Group{ID: groupAct, Title: "Act:"},
		&cobra.Group{ID: groupRun, Title: "Run:"}, &cobra.Group{ID: groupSetUp, Title: "Set up:"})
	for group, commands := range map[string][]*cobra.Command{
		groupLook:  {c.status(), c.releases(), c.show(), c.watching(), c.plan(), c.freezes(), c.unshared(), c.lease()},
		groupAct:   {c.release(), c.rollback(), c.answer(true), c.answer(false), c.halt(), c.freeze(), c.unfreeze(), c.unshare()},
		groupRun:   {c.serve(), c.demo()},
		groupSetUp: {c.initialize(), c.validate(), c.policy(), c.doctor(), c.version()},
	} {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommandGroupID(groupSetUp)
	root.SetCompletionCommandGroupID(groupSetUp)
	root.Version = versionLine()
	root.SetVersionTemplate("{{.Version}}\n")
	c.complete(root)
	counted(root)
	return root
}

// The groups of subcommands, as help shows them.
const (
	groupLook  = "look"
	groupAct   = "act"
	groupRun   = "run"
	groupSetUp = "setup"
)

// coded is an error with an exit code of its own; without a cause it was told already.
type coded struct {
	code  int
	cause error
}

// Error is that of the cause.
func (e coded) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.cause.Error()
}

// Unwrap is the cause.
func (e coded) Unwrap() error { return e.cause }

// finish tells an error and answers the exit code.
func finish(std IO, err error) int {
	if err == nil {
		return exitDone
	}
	code, told := exitRefused, false
	var own coded
	if errors.As(err, &own) {
		code, told = own.code, own.cause == nil
	}
	if told {
		return code
	}
	fmt.Fprintf(std.Stderr, "tagboat: %s\n", readable(err.Error()))
	if remedy := remedyOf(err); remedy != "" {
		fmt.Fprintf(std.Stderr, "  next: %s\n", readable(remedy))
	}
	return code
}

// remedyOf is the next step; what cobra says has none of its own.
func remedyOf(err error) string {
	var known *release.Error
	if !errors.As(err, &known) {
		return "Run: tagboat --help"
	}
	return release.NextStep(err)
}

// readable drops what others wrote and a terminal would act on.
func readable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
