// Report tells GitHub and the event bus how a release goes. Its failures are
// logged and stop nothing.
//
// It needs the table, the registry and the plans in the state bucket, GitHub and
// the event bus.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Report, app.NeedGitHub, app.NeedLink, app.NeedAnnouncer)
}
