// Tagboat is the command: it checks files, plans and watches releases, and runs
// Tagboat itself on this machine. See internal/cli.
package main

import (
	"os"

	"github.com/tagboat/tagboat/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.Process()))
}
