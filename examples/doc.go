// Package examples holds applications that Tagboat releases, each with the commands that do it in its README.
// Its test runs them.
package examples
