// Conclude records how a release ended and hands its leases on.
//
// It needs the table, the right to read the release's manifest and plans, and the right to
// resume executions.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Conclude, app.NeedTokens)
}
