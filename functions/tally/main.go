// Tally reads what the iterations of a Map recorded and decides whether the release
// goes on.
//
// It needs the table.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunTask((*app.Parts).Tally)
}
