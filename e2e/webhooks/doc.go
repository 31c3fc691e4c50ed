// Package webhooks sends every payload that GitHub's own collection of webhook
// examples has through the handler of deliveries: the payloads were recorded at
// GitHub, and nobody here wrote them.
package webhooks
