// Manifest fetches the manifest of a release at its pinned source and checks it
// against the registry.
//
// It needs the table, the state bucket, the uploads bucket and GitHub.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).ReadManifest, app.NeedGitHub)
}
