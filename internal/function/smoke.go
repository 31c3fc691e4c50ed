package function

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/release"
)

// smoke invokes the published version and checks its answer. A crash before the
// result is recorded invokes it again: the event must bear that.
func (u *update) smoke(ctx context.Context) error {
	if u.step.Smoke == nil {
		return nil
	}
	payload := []byte("{}") // the event where the manifest has none
	if u.step.Smoke.Payload != nil {
		var err error
		if payload, err = json.Marshal(u.step.Smoke.Payload); err != nil {
			return release.Errorf(release.Invalid, "smoke payload of function %q: %w", u.step.Name, err)
		}
	}
	if err := u.w.Touch(ctx); err != nil {
		return err
	}
	out, err := u.api.Invoke(ctx, &lambda.InvokeInput{
		FunctionName:   &u.step.Name,
		Qualifier:      &u.w.Result.Version,
		InvocationType: types.InvocationTypeRequestResponse,
		Payload:        payload,
	})
	if err != nil {
		return u.refused(err, "smoke test of version %s of function %q", u.w.Result.Version, u.step.Name)
	}
	if err := u.judge(out); err != nil {
		return err
	}
	u.w.Result.Smoked = true
	return nil
}

func (u *update) judge(out *lambda.InvokeOutput) error {
	if out.FunctionError != nil {
		return u.smokeFailed("it answered with FunctionError %s: %s", aws.ToString(out.FunctionError), excerpt(string(out.Payload)))
	}
	if u.step.Smoke.Expect == nil {
		return nil
	}
	var got any
	if err := json.Unmarshal(out.Payload, &got); err != nil {
		return u.smokeFailed("its answer %q is not JSON: %w", excerpt(string(out.Payload)), err)
	}
	want, err := plainJSON(u.step.Smoke.Expect)
	if err != nil {
		return release.Errorf(release.Invalid, "smoke expectation of function %q: %w", u.step.Name, err)
	}
	if mismatch := subset(want, got, "answer"); mismatch != "" {
		return u.smokeFailed("%s", mismatch)
	}
	return nil
}

func (u *update) smokeFailed(format string, args ...any) error {
	return release.Errorf(release.Invalid, "smoke test of version %s of function %q in account %s, %s failed: %w",
		u.w.Result.Version, u.step.Name, u.w.Target.Account, u.w.Target.Region, fmt.Errorf(format, args...)).
		WithRemedy("No traffic has reached that version. See its log, correct it and release a new version.")
}

// plainJSON gives numbers, lists and maps the types that encoding/json decodes to.
func plainJSON(v any) (plain any, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(text, &plain)
	return plain, err
}

// subset tells where got lacks something of want, or "". Objects may have more
// members than wanted, at any depth; lists are of equal length, and their
// elements are compared one by one.
func subset(want, got any, path string) string {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			value, has := got[name]
			if !has {
				return fmt.Sprintf("%s has no %.80q, want %s", excerpt(path), name, text(want[name]))
			}
			if mismatch := subset(want[name], value, member(path, name)); mismatch != "" {
				return mismatch
			}
		}
		return ""
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			break
		}
		for i := range want {
			if mismatch := subset(want[i], got[i], fmt.Sprintf("%s[%d]", path, i)); mismatch != "" {
				return mismatch
			}
		}
		return ""
	}
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return fmt.Sprintf("%s is %s, want %s", excerpt(path), text(got), text(want))
}

// plainName is a member's name that needs no quotes in a path.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// member is the path of an object's member.
func member(path, name string) string {
	if plainName.MatchString(name) {
		return path + "." + name
	}
	return fmt.Sprintf("%s[%.40q]", path, name)
}

func text(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		return "?" // decoded JSON always encodes
	}
	return excerpt(string(encoded))
}

// excerptLength is how much of an answer an error shows: enough for a message
// and the top of a trace.
const excerptLength = 300

// excerpt is the beginning of a text that somebody else wrote, in one line.
func excerpt(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r // what is not UTF-8 is replaced
	}, s)
	if len(s) <= excerptLength {
		return s
	}
	cut := excerptLength
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
