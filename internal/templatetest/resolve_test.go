package templatetest

import (
	"regexp"
	"strings"
	"testing"
)

// resolver evaluates the intrinsic functions of a template with the values of
// its parameters and pseudo parameters. What GetAtt gives is {<id>.<attribute>}.
type resolver struct {
	t      *testing.T
	values map[string]any
}

// newResolver takes parameters; the pseudo parameters are those of an account.
func newResolver(t *testing.T, account, region string, parameters map[string]any) resolver {
	values := map[string]any{
		"AWS::Partition": "aws", "AWS::AccountId": account, "AWS::Region": region, "AWS::StackName": "tagboat",
	}
	for name, v := range parameters {
		values[name] = v
	}
	return resolver{t, values}
}

var placeholder = regexp.MustCompile(`\$\{([^}]+)\}`)

func (r resolver) resolve(v any) any {
	r.t.Helper()
	switch v := v.(type) {
	case object:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return r.call(name, argument)
				}
			}
		}
		resolved := object{}
		for key, item := range v {
			resolved[key] = r.resolve(item)
		}
		return resolved
	case []any:
		resolved := []any{}
		for _, item := range v {
			resolved = append(resolved, r.resolve(item))
		}
		return resolved
	}
	return v
}

func (r resolver) call(name string, argument any) any {
	r.t.Helper()
	switch name {
	case "Ref":
		return r.ref(argument.(string))
	case "Fn::GetAtt":
		return "{" + argument.(string) + "}"
	case "Fn::Sub":
		return placeholder.ReplaceAllStringFunc(argument.(string), func(match string) string {
			return r.ref(match[2 : len(match)-1]).(string)
		})
	case "Fn::Join":
		parts := argument.([]any)
		return strings.Join(texts(r.resolve(parts[1])), parts[0].(string))
	case "Fn::If":
		parts := argument.([]any)
		if r.values[parts[0].(string)] == true {
			return r.resolve(parts[1])
		}
		return r.resolve(parts[2])
	case "Fn::Split":
		parts := argument.([]any)
		var split []any
		for _, part := range strings.Split(r.resolve(parts[1]).(string), parts[0].(string)) {
			split = append(split, part)
		}
		return split
	}
	r.t.Fatalf("the tests do not know intrinsic function %s", name)
	return nil
}

func (r resolver) ref(name string) any {
	if v, known := r.values[name]; known {
		return v
	}
	return "{" + name + "}"
}
