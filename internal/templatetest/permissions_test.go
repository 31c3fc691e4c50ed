package templatetest

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const permissionsPage = root + "/docs/permissions.md"

// permissionRow is a line of the page's first table: role and action.
var permissionRow = regexp.MustCompile("(?m)^\\| ([a-z]+) \\| `([a-zA-Z0-9]+:[a-zA-Z0-9]+)` \\|")

// The page is made by hours of releases that lack one permission each. What the
// roles allow today has to be what was tried then.
func TestThePermissionsPageHasTheActionsOfTheRoles(t *testing.T) {
	text, err := os.ReadFile(permissionsPage)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, row := range permissionRow.FindAllStringSubmatch(string(text), -1) {
		got = append(got, row[1]+" "+row[2])
	}
	for _, role := range allRoles(t) {
		name := roleName(role)
		for _, s := range statements(role) {
			for _, action := range texts(s["Action"]) {
				want = append(want, name+" "+action)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	for _, row := range surplus(got, want) {
		t.Errorf("docs/permissions.md has %q, which no role allows: run make e2e-iam", row)
	}
	for _, row := range surplus(want, got) {
		t.Errorf("%q is not in docs/permissions.md: run make e2e-iam", row)
	}
	if strings.Contains(string(text), "UNEXPLAINED") {
		t.Error("docs/permissions.md has something that is not explained")
	}
}

// Neither is asked for anywhere: no service gets a role from Tagboat, and all
// encryption is with AWS's own keys.
func TestNoRolePassesRolesOrUsesKeys(t *testing.T) {
	for id, role := range allRoles(t) {
		for pair := range allowed(t, role) {
			if strings.HasPrefix(pair, "iam:") || strings.HasPrefix(pair, "kms:") {
				t.Errorf("%s allows %s", id, pair)
			}
		}
	}
}

// roleName is what the page calls a role.
func roleName(role object) string {
	name := fmt.Sprint(at(role, "Properties", "RoleName", "Fn::Sub"))
	if short, ok := strings.CutPrefix(name, "${AWS::StackName}-"); ok {
		return short
	}
	return "target"
}

// surplus is what a sorted list has more often than another.
func surplus(list, other []string) []string {
	var more []string
	for _, item := range slices.Compact(slices.Clone(list)) {
		if times(list, item) > times(other, item) {
			more = append(more, item)
		}
	}
	return more
}

func times(list []string, item string) int {
	n := 0
	for _, other := range list {
		if other == item {
			n++
		}
	}
	return n
}
