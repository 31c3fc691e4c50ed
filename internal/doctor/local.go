package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tagboat/tagboat/internal/release"
)

// Local is an installation without a stack: a server, with the credentials of its process.
type Local struct {
	Clients
	State, Uploads string
	// StateFile is the server's local file. Inspect tells what is wrong with one that is there.
	StateFile string
	Inspect   func(path string) error
	// WebhookSecret is the text of the secret, as the server gets it.
	WebhookSecret string
	GitHub        GitHub
	// Inside looks with the server's credentials.
	Inside func(release.Registry) *Inside
	// Registry reads the registry where the server reads it.
	Registry func(context.Context, *Report) (release.Registry, bool)
}

// Do looks at what the server uses.
func (l *Local) Do(ctx context.Context, q Question) Report {
	report := &Report{}
	account := l.Clients.identity(ctx, report)
	WebhookSecret(report, "TAGBOAT_WEBHOOK_SECRET", l.WebhookSecret)
	for _, bucket := range []struct{ check, name, flag string }{{"state bucket", l.State, "--bucket"}, {"uploads bucket", l.Uploads, "--uploads-bucket"}} {
		if bucket.name == "" {
			report.look(bucket.check, "").unnamed("it was not named", bucket.flag)
			continue
		}
		l.Clients.Bucket(ctx, report, bucket.check, "", bucket.name)
	}
	if l.Uploads == "" {
		report.look("uploads events", "").unnamed("the uploads bucket was not named", "--uploads-bucket")
	} else {
		l.Clients.events(ctx, report, l.Uploads, "Switch on Amazon EventBridge in the bucket's properties, and send its events to POST /events of the server; until then "+
			"the server finds uploads when it looks for missed events.")
	}
	l.stateFile(report)
	registry, valid := l.Registry(ctx, report)
	if !valid {
		report.look("role", "").skip("without a registry nobody knows which there are")
		return *report
	}
	tools(report, registry, account)
	l.Clients.Staging(ctx, report, registry)
	Repositories(ctx, report, l.GitHub, registry)
	*report = append(*report, l.Inside(registry).Do(ctx, q)...)
	return *report
}

// stateFile looks whether the server can use its local file. One that is in use
// was checked by whoever uses it.
func (l *Local) stateFile(report *Report) {
	look := report.look("state file", l.StateFile)
	directory := filepath.Dir(l.StateFile)
	_, err := os.Stat(l.StateFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if info, err := os.Stat(directory); err != nil || !info.IsDir() {
			look.fail("Make the directory, or name another file with --state.", "it cannot be made: there is no directory %s", directory)
			return
		}
		look.ok("it is not there yet: tagboat serve makes it")
		return
	case err != nil:
		look.fail("Check who owns the file and its directory.", "%v", err)
		return
	}
	switch err := l.Inspect(l.StateFile); {
	case err == nil:
		look.ok("it is whole")
	case release.KindOf(err) == release.Conflict:
		look.ok("another process has it open: a running tagboat serve, which checked it at its start")
	default:
		look.fail(release.RemedyOf(err), "%v", err)
	}
}
