// Admit pins the commit and the registry of a release and refuses what the
// registry forbids.
//
// It needs the table, the registry in the state bucket and GitHub.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Admit, app.NeedGitHub)
}
