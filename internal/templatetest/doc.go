// Package templatetest checks what is deployed: the SAM template, the templates
// for target accounts and further regions, the state machine's definition, the
// functions' folders and the Makefile that builds them. They have to agree with
// each other and with the code, and none of them is compiled.
package templatetest
