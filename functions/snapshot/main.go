// Snapshot looks at one site: the functions of a target account, or the published
// layers of the tools account.
//
// It needs the table, the state bucket and the role of the target account.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Snapshot, app.NeedTargets)
}
