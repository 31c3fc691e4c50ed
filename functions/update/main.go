// Update gives the functions of one site new code, layers and versions, and tests
// them before any traffic.
//
// It needs the table, the state bucket, the staging buckets for the code it
// replaces, and the role of the target account.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Update, app.NeedTargets)
}
