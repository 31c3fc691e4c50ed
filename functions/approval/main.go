// Approval puts the plan for an environment before a person; the answer resumes
// the execution.
//
// It needs the table and the state bucket.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Approval)
}
