// Access checks that the role of a target account can read the layer versions its
// functions are going to use.
//
// It needs the table, the state bucket and the role of the target account.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Access, app.NeedTargets)
}
