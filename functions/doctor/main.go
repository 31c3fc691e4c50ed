// Doctor looks, for the command of that name, whether the roles of target accounts
// can be assumed as they should, and what can be seen and read with them.
//
// It needs to read the table and the registry, and the roles of the target accounts.
package main

import "github.com/tagboat/tagboat/internal/app"

func main() {
	app.RunDoctor()
}
