package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/app"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/release"
)

func TestALayerVersionIsTakenBackAndMayBeSharedAgain(t *testing.T) {
	s := serve(t, "", nil)
	s.tag("v1.0.0")
	s.order(`{"app":"orders","tag":"v1.0.0","by":"alice"}`)
	s.settle()
	look := into[app.Unshared](t, s.posted("/unshares", `{"layer":"orders-deps:1","account":"333333333333","dry_run":true}`, http.StatusOK))
	if len(look.Regions) != 2 || look.Seen == "" || !look.DryRun || look.Regions[0].State != app.UnshareShared {
		t.Errorf("the look is %+v", look)
	}
	if all := into[[]release.Revocation](t, s.do(http.MethodGet, "/unshares", nil)); len(all) != 0 {
		t.Errorf("before: %+v", all)
	}
	refused(t, s.posted("/unshares", `{"layer":"orders-deps:1","account":"333333333333","by":"bob","reason":"x","seen":"else"}`, http.StatusConflict), http.StatusConflict)
	body := `{"layer":"orders-deps:1","account":"333333333333","by":"bob","reason":"the contract has ended","seen":"` + look.Seen + `"}`
	taken := into[app.Unshared](t, s.posted("/unshares", body, http.StatusOK))
	if len(taken.Regions) != 2 || taken.Regions[1].State != app.UnshareTaken || taken.Regions[1].Revocation.By != "bob" {
		t.Errorf("taken back: %+v", taken)
	}
	for _, g := range s.Cloud.LayerVersions(demo.Tools, demo.Home, "orders-deps")[0].Grants {
		if g.Principal == demo.Partner {
			t.Errorf("the grant is still there: %+v", g)
		}
	}
	if all := into[[]release.Revocation](t, s.do(http.MethodGet, "/unshares", nil)); len(all) != 2 || all[0].Reason != "the contract has ended" {
		t.Errorf("on record: %+v", all)
	}
	lifted := into[[]release.Revocation](t, s.posted("/unshares/clear", `{"layer":"orders-deps:1","account":"333333333333","by":"bob"}`, http.StatusOK))
	if len(lifted) != 2 {
		t.Errorf("lifted: %+v", lifted)
	}
	refused(t, s.posted("/unshares/clear", `{"layer":"orders-deps:1","account":"333333333333","by":"alice"}`, http.StatusNotFound), http.StatusNotFound)
	p := refused(t, s.posted("/unshares", `{"layer":"orders-deps:1","account":"222222222222","by":"bob","reason":"x"}`, http.StatusConflict), http.StatusConflict)
	if !strings.Contains(p.Error, "is live with it in prod") || !strings.Contains(p.Remedy, "--force") {
		t.Errorf("got %+v", p)
	}
}

func TestOrdersToTakeBackThatCannotBe(t *testing.T) {
	s := serve(t, "", nil)
	for name, test := range map[string]struct {
		body   string
		status int
	}{
		"of nothing":                  {`{"account":"333333333333","reason":"x","by":"alice"}`, http.StatusBadRequest},
		"by nobody":                   {`{"layer":"orders-deps:1","account":"333333333333","reason":"x"}`, http.StatusBadRequest},
		"with a reason like a screen": {`{"layer":"orders-deps:1","account":"333333333333","reason":"\u001b[2J","by":"alice"}`, http.StatusBadRequest},
		"of an unknown field":         {`{"layer":"orders-deps:1","accounts":["333333333333"],"reason":"x","by":"alice"}`, http.StatusBadRequest},
		"of what is not there":        {`{"layer":"orders-deps:1","account":"333333333333","reason":"x","by":"alice"}`, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			refused(t, s.posted("/unshares", test.body, test.status), test.status)
		})
	}
	s.t = t
	refused(t, s.posted("/unshares/clear", `{"layer":"orders-deps:1","public":true}`, http.StatusBadRequest), http.StatusBadRequest)
}
