// Rollback finds what a failed release changed and restores it, site by site.
//
// It needs the table, the state bucket, the staging buckets and the role of the
// target account.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).RollBack, app.NeedTargets)
}
