// Package statemachine holds the definition of a release in the Amazon States
// Language: the file that Step Functions and the embedded engine both run.
package statemachine

import _ "embed"

// Definition is release.asl.json. Each ${<Task>Function} in it stands for the
// function that does the task.
//
//go:embed release.asl.json
var Definition []byte
