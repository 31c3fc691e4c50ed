// Artifact answers the events of the uploads bucket: a manifest under artifacts/
// or a zip under drops/ starts a release. What fails is tried again and ends in
// the dead-letter queue.
//
// It needs the table, the registry in the state bucket and the right to start
// executions. It reads no upload.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunArtifact()
}
