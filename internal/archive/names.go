package archive

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// What Linux takes, in bytes (NAME_MAX and PATH_MAX of limits.h): Lambda
// unpacks on Linux.
const (
	maxComponent = 255
	maxPath      = 4096
)

// canonical is the name without its trailing slash, "./" and doubled slashes.
// The error says what is wrong with a name that must not be unpacked.
func canonical(name string) (string, error) {
	switch {
	case name == "":
		return "", fmt.Errorf("the name is empty")
	case strings.HasPrefix(name, "/"):
		return "", fmt.Errorf("the name is absolute, want one relative to the archive's top")
	case strings.Contains(name, `\`):
		return "", fmt.Errorf(`the name has a backslash, want "/" between folders`)
	case strings.ContainsRune(name, 0):
		return "", fmt.Errorf("the name has a NUL byte")
	case !utf8.ValidString(name):
		return "", fmt.Errorf("the name is not UTF-8")
	case len(name) > maxPath:
		return "", fmt.Errorf("the name has %d bytes, want at most %d", len(name), maxPath)
	}
	for component := range strings.SplitSeq(name, "/") {
		if component == ".." {
			return "", fmt.Errorf(`the name has a ".." in it, want one that stays below the archive's top`)
		}
		if len(component) > maxComponent {
			return "", fmt.Errorf("a part of the name has %d bytes, want at most %d", len(component), maxComponent)
		}
	}
	return path.Clean(name), nil
}

// quoted is a name for a message: quoted, and cut if it is very long.
func quoted(name string) string {
	const most = 200
	if len(name) > most {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(name[:most], ""))
	}
	return fmt.Sprintf("%q", name)
}
