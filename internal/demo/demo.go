package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// story is the demo while it is told.
type story struct {
	*World
	out io.Writer
	// wrong collects what did not come out as it should.
	wrong []error
}

// Tell runs the demo's four chapters and prints what happens. The error tells
// what did not come out as it should.
func Tell(ctx context.Context, w *World, out io.Writer) error {
	s := &story{World: w, out: out}
	s.say("An AWS in memory: tools account %s, dev %s, prod %s, a partner %s; %s and %s.", Tools, Dev, Prod, Partner, Home, Europe)
	s.say("Functions orders-api and orders-worker run in dev and in both regions of prod, each at version 1 behind the alias live.")
	for _, chapter := range []func(context.Context) error{s.tag, s.duplicate, s.upload, s.broken, s.live} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return errors.Join(s.wrong...)
}

func (s *story) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s *story) title(format string, args ...any) {
	s.say("\n== %s", fmt.Sprintf(format, args...))
}

// check notes what is not as it should be.
func (s *story) check(ok bool, format string, args ...any) {
	if !ok {
		err := fmt.Errorf(format, args...)
		s.wrong = append(s.wrong, err)
		s.say("   WRONG: %v", err)
	}
}

// tag releases a tag through dev and prod.
func (s *story) tag(ctx context.Context) error {
	s.title("git push origin v1.1.0: a signed webhook arrives")
	s.Repo.Tag("v1.1.0", s.Repo.Commit("main", "sessions", Files(Handler, "2.32.3")))
	answer := s.Deliver(ctx, s.GitHub.Push(s.Repo, "v1.1.0"))
	s.answered(answer)
	if _, err := s.follow(ctx, answer, release.Succeeded); err != nil {
		return err
	}
	for _, region := range []string{Home, Europe} {
		versions := s.Cloud.LayerVersions(Tools, region, "orders-deps")
		s.check(len(versions) == 1, "orders-deps has %d versions in %s, want 1", len(versions), region)
	}
	return s.runs("2")
}

// duplicate sends the same once more, and the other event of the same tag.
func (s *story) duplicate(ctx context.Context) error {
	s.title("GitHub sends the push again, and the create event of the same tag")
	before := len(s.Cloud.Calls())
	for _, d := range []release.Answer{
		s.Deliver(ctx, s.GitHub.Push(s.Repo, "v1.1.0")),
		s.Deliver(ctx, s.GitHub.Create(s.Repo, "v1.1.0")),
	} {
		s.answered(d)
		s.check(d.Status == release.AnswerDuplicate, "the answer is %s, want duplicate", d.Status)
	}
	if err := s.Settle(ctx); err != nil {
		return err
	}
	for _, call := range s.Cloud.Calls()[before:] {
		s.check(call.Service == "s3" && call.Action == "GetObject", "a duplicate called %s %s", call.Service, call.Action)
	}
	return s.runs("2")
}

// upload replaces the layer alone.
func (s *story) upload(ctx context.Context) error {
	s.title("aws s3 cp: version 1.1.1 of the layer is uploaded, its manifest last")
	deps, err := Zip(map[string]string{"python/requests/__init__.py": "__version__ = \"2.32.4\"\n"})
	if err != nil {
		return err
	}
	for _, object := range []struct {
		name string
		body []byte
	}{{"deps.zip", deps}, {"tagboat.yaml", []byte(Upload)}} {
		key := "artifacts/orders/1.1.1/" + object.name
		s.say("   s3://%s/%s", UploadsBucket, key)
		if err := s.Upload(ctx, key, object.body, map[string]string{"actor": "ci"}); err != nil {
			return err
		}
	}
	answer := s.Answers[len(s.Answers)-1]
	s.answered(answer)
	if _, err := s.follow(ctx, answer, release.Succeeded); err != nil {
		return err
	}
	return s.runs("3")
}

// broken releases code that fails its smoke test in prod.
func (s *story) broken(ctx context.Context) error {
	s.title("git push origin v1.2.0: its code wants a variable that prod does not have")
	s.Repo.Tag("v1.2.0", s.Repo.Commit("main", "payments", Files(Broken, "2.32.4")))
	answer := s.Deliver(ctx, s.GitHub.Push(s.Repo, "v1.2.0"))
	s.answered(answer)
	before, err := s.prod()
	if err != nil {
		return err
	}
	if _, err := s.follow(ctx, answer, release.FailedClean); err != nil {
		return err
	}
	after, err := s.prod()
	if err != nil {
		return err
	}
	s.check(slices.Equal(before, after), "prod was %v before and is %v now", before, after)
	return nil
}

// prod is what prod's callers get and what $LATEST is, site by site.
func (s *story) prod() ([]string, error) {
	var found []string
	for _, site := range Sites() {
		if site.Environment != "prod" {
			continue
		}
		for _, name := range []string{"orders-api", "orders-worker"} {
			f, err := s.Function(site, name)
			if err != nil {
				return nil, err
			}
			alias := f.Aliases["live"]
			found = append(found, fmt.Sprintf("%s %s: live=%s%v latest=%s %v",
				site, name, alias.Version, alias.Weights, f.Latest.CodeSha256, f.Latest.Layers))
		}
	}
	return found, nil
}

// runs checks that every alias points at a version, with no weights left.
func (s *story) runs(version string) error {
	for _, site := range Sites() {
		for _, name := range []string{"orders-api", "orders-worker"} {
			f, err := s.Function(site, name)
			if err != nil {
				return err
			}
			alias := f.Aliases["live"]
			s.check(alias.Version == version && len(alias.Weights) == 0, "%s in %s is at version %s %v, want %s alone",
				name, site, alias.Version, alias.Weights, version)
			v, _ := f.Version(alias.Version)
			s.check(len(v.Layers) == 2 && strings.Contains(v.Layers[0], ":layer:monitoring:"),
				"%s in %s uses layers %v, want monitoring and orders-deps", name, site, v.Layers)
			s.check(v.Environment["LOG_LEVEL"] == "info", "%s in %s lost its variables", name, site)
		}
	}
	return nil
}

func (s *story) answered(a release.Answer) { s.say("   %s (%s): %s", a.Status, a.Code, a.Reason) }

// follow waits for the end of the release and prints its steps.
func (s *story) follow(ctx context.Context, answer release.Answer, want release.State) (release.Release, error) {
	if len(answer.Releases) != 1 {
		return release.Release{}, fmt.Errorf("the answer %s names %d releases, want 1", answer.Code, len(answer.Releases))
	}
	if err := s.Settle(ctx); err != nil {
		return release.Release{}, err
	}
	var view report.View
	var err error
	s.Clock.Run(func() { view, err = s.Local.View(ctx, answer.Releases[0]) })
	if err != nil {
		return release.Release{}, err
	}
	if err := report.Text(s.out, view); err != nil {
		return release.Release{}, err
	}
	took := view.Ended.Sub(view.Created).Round(time.Second)
	s.say("   took %s of virtual time", took)
	s.check(view.State == want, "release %s ended as %s, want %s: %s", view.ID, view.State, want, view.Error)
	return view.Release, nil
}

// live prints what runs where.
func (s *story) live(ctx context.Context) error {
	s.title("What is live where")
	var live []ledger.Live
	var err error
	s.Clock.Run(func() { live, err = s.Local.Core().Ledger.Live(ctx, "", "") })
	if err != nil {
		return err
	}
	for _, l := range live {
		want := "1.1.1"
		if l.Environment == "dev" {
			want = "1.2.0"
		}
		s.check(l.Version == want, "%s in %s is recorded at %s, want %s", l.Name, l.Environment, l.Version, want)
	}
	return printLive(s.out, live)
}

func printLive(out io.Writer, live []ledger.Live) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "APP\tENVIRONMENT\tACCOUNT\tREGION\tNAME\tVERSION\tRUNS\tCOMMIT\tSINCE")
	for _, l := range live {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.7s\t%s\n", l.App, l.Environment, l.Account, l.Region,
			l.Name, l.Version, report.ShortLayer(l.Detail), l.Commit, l.Since.Format(time.DateTime))
	}
	return table.Flush()
}
