package function

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/tagboat/tagboat/internal/release"
)

// redacted is an error without the values of variables: Lambda repeats all of
// them where they are too large together. An error that holds none stays as it
// is; one that does is not in the chain any more, so that no log shows it.
func redacted(err error, variables map[string]string) error {
	if err == nil {
		return nil
	}
	said := err.Error()
	clean := said
	for _, value := range longestFirst(variables) {
		clean = strings.ReplaceAll(clean, value, "***")
		if quoted, jsonErr := json.Marshal(value); jsonErr == nil {
			clean = strings.ReplaceAll(clean, string(quoted[1:len(quoted)-1]), "***")
		}
	}
	if before, _, measured := strings.Cut(clean, "String measured: "); measured {
		clean = before + "(the variables are not shown)"
	}
	if clean == said {
		return err
	}
	return release.Errorf(meaning.KindOf(err), "%s", clean)
}

// longestFirst are the values, so that one within another leaves no rest.
// Short ones, such as "1", are left out: they say little and are part of many words.
func longestFirst(variables map[string]string) []string {
	const telling = 4
	values := slices.Collect(maps.Values(variables))
	values = slices.DeleteFunc(values, func(v string) bool { return len(v) < telling })
	slices.SortFunc(values, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return values
}
