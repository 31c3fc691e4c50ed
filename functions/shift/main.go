// Shift moves the aliases of one site to the new versions step by step, and then
// watches the alarms while the release bakes.
//
// It needs the table, the state bucket and the role of the target account, for
// Lambda and for CloudWatch.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Shift, app.NeedTargets, app.NeedAlarms)
}
