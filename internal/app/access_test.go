package app_test

import (
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// TestThrottlesAreNoDenialsOfAccess throttles the check of access as often as access
// may be denied, before a grant that is fresh is not known for a moment.
func TestThrottlesAreNoDenialsOfAccess(t *testing.T) {
	for _, test := range []struct {
		name    string
		denials int
		want    release.State
	}{
		{"the grant is known late", 3, release.Succeeded},
		{"there is no grant", 4, release.FailedClean},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, worldOptions{registry: quickly(t, demo.Registry)})
			checking, looks := false, 0
			w.onTask = func(k task) fault {
				checking = checking || k.function == "Access" && k.in.Site.Account == demo.Prod && k.in.Site.Region == demo.Europe
				return fault{}
			}
			w.Cloud.OnCall(func(c sim.Call) sim.Fault {
				if !checking || c.Action != "GetLayerVersionByArn" || !strings.Contains(c.Resource, demo.Europe+":"+demo.Tools+":layer:orders-deps") || looks >= 3+test.denials {
					return sim.Fault{}
				}
				if looks++; looks <= 3 {
					return sim.Fault{Before: sim.Throttled(c.Service)}
				}
				return sim.Fault{Before: errDenied}
			})
			rel := w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3"))
			wantState(t, rel, test.want)
			if looks != 3+test.denials {
				t.Errorf("access was refused %d times, want %d", looks, 3+test.denials)
			}
			w.sound()
		})
	}
}
