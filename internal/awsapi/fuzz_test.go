package awsapi_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/awsapi"
	"github.com/tagboat/tagboat/internal/release"
)

// phases are those for which a target's role is taken.
var phases = []release.Phase{
	release.PhaseSnapshot, release.PhasePublish, release.PhaseShare, release.PhaseAccess, release.PhaseUpdate,
	release.PhaseShift, release.PhaseBake, release.PhaseRollBack, release.PhasePrune,
}

// FuzzSessionPolicy makes policies of any names: none allows more than the
// phase's actions on the app's own functions and staged objects, at its site.
func FuzzSessionPolicy(f *testing.F) {
	f.Add("orders", "222222222222", "eu-west-1", "orders-*\nbilling", "orders-api", "live")
	f.Add("orders", "222222222222", "cn-north-1", "*", "x", "1")
	f.Add("orders", "222222222222", "eu-west-1", "*-api\na*b*c\n**", "orders-api", "b-api")
	f.Add("*", "*", "*", "${aws:username}\n?", "x", "x")
	f.Add("orders/*/x", "", "eu:west", "a:*\norders?\n[a-z]\n\\*", "a", "b")
	f.Add("${aws:PrincipalTag/app}", "222222222222", "eu-west-1", "", "orders", "")
	f.Add("a\"],\"Action\":[\"*", "222222222222", "eu-west-1", "orders\",\"*", "orders", "<>&")
	f.Fuzz(func(t *testing.T, app, account, region, resources, function, qualifier string) {
		target := release.Target{
			Site: release.Site{Environment: "prod", Account: account, Region: region}, Role: "tagboat-target",
			App: app, Resources: strings.Split(resources, "\n"),
		}
		mayTouch := release.App{Resources: target.Resources}.MayTouch(function)
		nameable := function != "" && !strings.ContainsAny(function, ":/") && !strings.Contains(qualifier, ":")
		for _, phase := range phases {
			text, err := awsapi.SessionPolicy(target, phase)
			if err != nil {
				if release.KindOf(err) != release.Invalid {
					t.Errorf("got the kind %q for %+v, want it invalid: %v", release.KindOf(err), target, err)
				}
				continue
			}
			var policy document
			if err := json.Unmarshal([]byte(text), &policy); err != nil || len(text) > 2048 {
				t.Fatalf("the policy has %d characters (%v): %s", len(text), err, text)
			}
			narrow(t, policy, awsapi.PhasePermissions(phase))
			own := "arn:" + awsapi.Partition(region) + ":lambda:" + region + ":" + account + ":function:"
			for _, name := range []string{function, function + ":" + qualifier} {
				if nameable && !mayTouch && policy.allowsAny(own+name) {
					t.Errorf("app %q with %q may act on %q: %s", app, target.Resources, name, text)
				}
				for _, elsewhere := range []string{"arn:aws:lambda:ap-south-1:123456789012:function:", "arn:aws:lambda:" + region + ":123456789012:function:"} {
					if account != "123456789012" && policy.allowsAny(elsewhere+name) {
						t.Errorf("app %q with %q may act on %q: %s", app, target.Resources, elsewhere+name, text)
					}
				}
			}
			for _, other := range []string{"billing", function, app + "x", "x" + app} {
				if other != app && other != "" && !strings.Contains(other, "/") && policy.allowsAny("arn:aws:s3:::state/staged/"+other+"/0.zip") {
					t.Errorf("app %q may read what is staged for %q: %s", app, other, text)
				}
			}
		}
	})
}

// narrow checks that a policy has only allowances, of the phase's actions, and
// that nothing in it stands for another text but *.
func narrow(t *testing.T, policy document, phase awsapi.Permissions) {
	t.Helper()
	known := slices.Concat(phase.Functions, phase.Versions, phase.Layers, phase.Staged, phase.Any)
	for _, s := range policy.Statement {
		if s.Effect != "Allow" || len(s.Action) == 0 || len(s.Resource) == 0 {
			t.Errorf("the policy has the statement %+v", s)
		}
		for _, action := range s.Action {
			if !slices.Contains(known, action) {
				t.Errorf("the policy allows %q, want only %q", action, known)
			}
			for _, resource := range s.Resource {
				if resource == "*" && !slices.Contains(phase.Any, action) || strings.ContainsAny(resource, "?$") {
					t.Errorf("the policy allows %q on %q", action, resource)
				}
			}
		}
	}
}

// allowsAny tells whether a policy allows any action that has resources on one.
func (d document) allowsAny(arn string) bool {
	for _, s := range d.Statement {
		for _, pattern := range s.Resource {
			if pattern != "*" && matchARN(pattern, arn) {
				return true
			}
		}
	}
	return false
}

// matchARN is IAM's: * stands for any characters of a part between colons, and at
// the end of the last part for anything (IAM user guide, "Resource").
func matchARN(pattern, arn string) bool {
	for pattern != "" {
		if pattern[0] != '*' {
			if arn == "" || pattern[0] != arn[0] {
				return false
			}
			pattern, arn = pattern[1:], arn[1:]
			continue
		}
		rest := strings.TrimLeft(pattern, "*")
		if rest == "" {
			return true
		}
		for i := 0; ; i++ {
			if matchARN(rest, arn[i:]) {
				return true
			}
			if i == len(arn) || arn[i] == ':' {
				return false
			}
		}
	}
	return arn == ""
}
