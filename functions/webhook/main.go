// Webhook answers the deliveries of GitHub at POST /webhooks/github: it checks
// the signature and starts a release for a tag that the registry knows.
//
// It needs the table, the registry in the state bucket, the webhook secret and
// the right to start executions. It calls GitHub for nothing.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunWebhook()
}
