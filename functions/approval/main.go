// Approval puts the plan for an environment before a person; the answer resumes
// the execution.
//
// It needs the table, the state bucket, the event bus and the right to resume executions.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Approval, app.NeedAnnouncer, app.NeedLink, app.NeedTokens)
}
