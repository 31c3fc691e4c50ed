// Publish publishes the layers of a release in one region of the tools account.
//
// It needs the table, the state bucket and, with its own role, Lambda layers and
// the staged archives they are made from.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Publish, app.NeedTargets)
}
