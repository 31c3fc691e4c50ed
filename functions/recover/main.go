// Recover takes up releases whose execution died. It is invoked by the event of an
// execution that ended badly and, since such events are best-effort, every five
// minutes for a sweep.
//
// It needs the table and the rights to start, describe and resume executions.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunRecover()
}
