// Report tells GitHub how a release goes. Its failures are logged and stop nothing.
//
// It needs the table, the registry in the state bucket and GitHub.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Report, app.NeedGitHub, app.NeedLink)
}
