// Lease acquires, returns and takes over the lease of an environment, and records
// what is live when a release leaves it.
//
// It needs the table, the state bucket and the right to resume executions.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Lease, app.NeedTokens)
}
