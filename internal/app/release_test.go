package app_test

import (
	"testing"

	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
)

func TestTagReachesEveryTarget(t *testing.T) {
	w := newWorld(t, worldOptions{})
	rel := w.released("v1.1.0", demo.Files(demo.Handler, "2.32.3"))
	wantState(t, rel, release.Succeeded)
	w.sound()
	for _, site := range demo.Sites() {
		for _, name := range []string{"orders-api", "orders-worker"} {
			f, err := w.Function(site, name)
			if err != nil {
				t.Fatal(err)
			}
			if alias := f.Aliases["live"]; alias.Version != "2" || len(alias.Weights) != 0 {
				t.Errorf("%s in %s: live is at %s %v, want 2 alone", name, site, alias.Version, alias.Weights)
			}
		}
	}
	if n := len(w.GitHub.Deployments(w.Repo)); n != 2 {
		t.Errorf("GitHub has %d deployments, want 2", n)
	}
}
