// Prune deletes versions of functions and layers that are older than those to keep,
// and the staged archives that nobody needs then.
//
// It needs the table, the state bucket, the layers of its own account and the
// role of the target accounts.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Prune, app.NeedTargets, app.NeedRemover)
}
