package cli

import (
	"encoding"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/doctor"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
	"github.com/tagboat/tagboat/internal/server"
)

var update = flag.Bool("update", false, "write the lists of docs/json.md anew")

// documents are what --json prints, by the names that docs/json.md gives their lists.
var documents = map[string]any{
	"release": report.View{}, "releases": []release.Release{}, "live": []ledger.Live{}, "answer": release.Answer{}, "plan": release.Plan{},
	"leases": []server.Lease{}, "cleared": app.Clearing{}, "freeze": ledger.Freeze{}, "unshare": app.Unshared{}, "unshared": []release.Revocation{}, "doctor": doctor.Report{}, "validate": []checkedFile{}, "version": versionDocument{},
	"event": happening{},
}

// TestDocumentsAreAsDescribed holds docs/json.md and what is printed to the same
// fields. With -update it writes them.
func TestDocumentsAreAsDescribed(t *testing.T) {
	const name = "../../docs/json.md"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	page, told := string(text), 0
	for document, value := range documents {
		begin, end := "<!-- fields: "+document+" -->\n```\n", "```\n"
		before, rest, found := strings.Cut(page, begin)
		list, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Errorf("%s has no list of %s", name, document)
			continue
		}
		told++
		want := strings.Join(shape(reflect.TypeOf(value), ""), "\n") + "\n"
		if *update {
			page = before + begin + want + end + after
		} else if list != want {
			t.Errorf("%s: %s is described as\n%swant\n%s(go test ./internal/cli -run %s -update)", name, document, list, want, t.Name())
		}
	}
	if got := strings.Count(page, "<!-- fields: "); got != told {
		t.Errorf("%s has %d lists, want %d", name, got, told)
	}
	if *update {
		if err := os.WriteFile(name, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

var (
	asText = reflect.TypeFor[encoding.TextMarshaler]()
	asJSON = reflect.TypeFor[json.Marshaler]()
)

// shape lists the fields of a type as JSON has them, each with its path and kind;
// a ? marks those that may be missing.
func shape(t reflect.Type, path string) []string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return []string{path + " time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return []string{path + " any"}
	case t.Implements(asText) || t.Implements(asJSON):
		return []string{path + " string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return shape(t.Elem(), path)
	case reflect.Slice:
		return shape(t.Elem(), path+"[]")
	case reflect.Map:
		return shape(t.Elem(), path+"{}")
	case reflect.Struct:
		return fieldsOf(t, path)
	case reflect.Int, reflect.Int64, reflect.Float64:
		return []string{path + " number"}
	case reflect.Bool:
		return []string{path + " boolean"}
	case reflect.Interface:
		return []string{path + " any"}
	}
	return []string{path + " string"}
}

func fieldsOf(t reflect.Type, path string) []string {
	var all []string
	for field := range t.Fields() {
		tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && tag == "" {
			all = append(all, fieldsOf(field.Type, path)...)
			continue
		}
		if tag == "-" || !field.IsExported() {
			continue
		}
		if strings.Contains(options, "omit") {
			tag += "?"
		}
		all = append(all, shape(field.Type, strings.TrimPrefix(path+"."+tag, "."))...)
	}
	return all
}
