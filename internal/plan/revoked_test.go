package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/plan"
	"github.com/tagboat/tagboat/internal/release"
)

// revoke takes the release's published layer back from somebody in us-east-1.
func revoke(in *plan.Input, grant release.Grant) {
	in.Revoked = append(in.Revoked, release.Revocation{
		Layer: layerARN("us-east-1", "orders-deps", 7), Grant: grant, By: "alice", Reason: "the contract has ended",
	})
}

// sharedIn is the share step of a region.
func sharedIn(t *testing.T, made *release.Plan, region string) *release.ShareStep {
	t.Helper()
	for _, step := range made.Steps {
		if step.Kind == release.ShareLayer && step.Site.Region == region {
			return step.Share
		}
	}
	t.Fatalf("there is no share step in %s", region)
	return nil
}

func TestWhatWasTakenBackIsNotSharedAgain(t *testing.T) {
	for _, grant := range []release.Grant{{Account: otherAccount}, {Organization: "o-abc1234567"}} {
		t.Run(grant.String(), func(t *testing.T) {
			in := input()
			publish(&in, toolsUS)
			publish(&in, toolsEU)
			revoke(&in, grant)
			made, err := plan.Whole(in)
			if err != nil {
				t.Fatal(err)
			}
			us, eu := sharedIn(t, made, "us-east-1"), sharedIn(t, made, "eu-west-1")
			if slices.Contains(us.Grants, grant) || slices.Contains(us.Missing, grant) {
				t.Errorf("it is granted again: %+v", us)
			}
			if !slices.Contains(eu.Missing, grant) {
				t.Errorf("another region's version is not granted: %+v", eu)
			}
			warned := strings.Join(made.Warnings, "\n")
			for _, want := range []string{"its version 7 was taken back from " + grant.String() + " by alice (the contract has ended)", "tagboat unshare arn:", "--undo"} {
				if !strings.Contains(warned, want) {
					t.Errorf("%q is not in the warnings %q", want, warned)
				}
			}
		})
	}
}

func TestAnotherVersionIsShared(t *testing.T) {
	in := input() // a new version will be published
	revoke(&in, release.Grant{Account: otherAccount})
	made, err := plan.Whole(in)
	if err != nil {
		t.Fatal(err)
	}
	if us := sharedIn(t, made, "us-east-1"); !slices.Contains(us.Missing, release.Grant{Account: otherAccount}) || len(made.Warnings) > 0 {
		t.Errorf("got %+v and warnings %q", us, made.Warnings)
	}
}

func TestAnOwnTargetThatLostTheVersionForbidsTheRelease(t *testing.T) {
	in := input()
	publish(&in, toolsUS)
	publish(&in, toolsEU)
	revoke(&in, release.Grant{Account: devAccount})
	_, err := plan.Whole(in)
	if err == nil || release.KindOf(err) != release.Invalid || !strings.Contains(err.Error(), "was taken back from account "+devAccount) ||
		!strings.Contains(err.Error(), "--account "+devAccount+" --undo") {
		t.Errorf("got %v, want a violation", err)
	}

	carryOut(&in) // the grant is there, by hand, and the organisation's
	made, err := plan.Whole(in)
	if err != nil || len(made.Warnings) > 0 {
		t.Errorf("with the grant there: got %v", err)
	}
}
