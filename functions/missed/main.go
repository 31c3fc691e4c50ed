// Missed looks every five minutes for what should have started a release and
// raised no event: tags, uploads, and webhook deliveries that failed.
//
// It needs the table, the registry in the state bucket, GitHub, the list of the
// uploads bucket and the right to start executions. It reads no upload.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunMissed()
}
