// Stage brings one artifact into the state bucket and the staging buckets of
// further regions, checked and pinned.
//
// It needs the table, these buckets, the uploads bucket, GitHub, and disk for the
// artifact.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Stage, app.NeedGitHub)
}
