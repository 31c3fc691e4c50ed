// Share grants other accounts the use of layer versions in one region.
//
// It needs the table, the state bucket and, with its own role, the policies of
// layer versions.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Share, app.NeedTargets)
}
