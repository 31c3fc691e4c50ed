package soak

import (
	"strings"
	"testing"
	"time"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/release"
)

// standard is the scenario in which one thing goes wrong at a time: two releases
// of one app, one after the other, through two environments of which the second
// asks for an approval.
func standard() scenario {
	env := func(name, account, approval string) release.Environment {
		return release.Environment{
			Name: name, Account: account, Regions: []string{home}, Role: targetRole, ExternalID: "tagboat-" + name,
			Approval: approval, Bake: release.Duration(time.Minute),
		}
	}
	return scenario{
		seed: 1, busy: 40 * time.Minute, clears: true, quiet: true,
		environments: []release.Environment{env("dev", "111111111111", ""), env("prod", "222222222222", release.ApprovalRequired)},
		apps: []appSpec{{
			App: release.App{
				Name: "orders", Tags: "v{version}", Resources: []string{"orders-*"}, Environments: []string{"dev", "prod"},
				Repository:   release.Repository{ID: 186853002, Name: "acme/orders"},
				DropManifest: "manifests/orders.yaml", Sharing: release.Sharing{Accounts: []string{partnerAccount}, Organization: true},
			},
			apiAlias: true, workerAlias: "live", smoke: true, alarms: true, keepsSecret: true, releases: 2,
			traffic: release.Traffic{Percent: 10, Interval: time.Minute},
		}},
	}
}

// TestEveryTaskIsDeliveredTwice delivers each invocation of the standard
// scenario again: side by side with the first, soon after it, or late; where many
// seeds are asked for, in all three ways.
func TestEveryTaskIsDeliveredTwice(t *testing.T) {
	machine, err := app.Machine()
	if err != nil {
		t.Fatal(err)
	}
	plain := run(standard(), machine)
	if len(plain.violations) > 0 {
		t.Fatalf("without any fault: %s", strings.Join(plain.violations, "\n"))
	}
	for n := 1; n <= plain.invocations; n++ {
		for i, after := range []time.Duration{0, 2 * time.Second, 5 * time.Minute} {
			if n%3 != i && *seeds < manySeeds {
				continue
			}
			w := newWorld(standard(), machine)
			w.again = func(i int, _ app.Input) (time.Duration, bool) { return after, i == n }
			w.run()
			if len(w.violations) > 0 {
				t.Errorf("invocation %d again after %s: %s", n, after, w.story())
			}
		}
	}
	t.Logf("%d invocations, ends %v", plain.invocations, plain.ends)
}
