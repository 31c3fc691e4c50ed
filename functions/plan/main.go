// Plan makes the plan of the whole release, and later the one of an environment
// under its lease, from snapshots.
//
// It needs the table and the state bucket.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Plan)
}
