package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/report"
)

// posted posts a JSON body that has to be answered with a status.
func (s *served) posted(path, body string, status int) got {
	s.t.Helper()
	g := s.do(http.MethodPost, path, []byte(body), "Content-Type", "application/json")
	if g.status != status {
		s.t.Errorf("POST %s %s: status %d, want %d: %s", path, body, g.status, status, g.body)
	}
	return g
}

func TestAFreezeRefusesReleasesUntilItIsCleared(t *testing.T) {
	s := serve(t, "", nil)
	s.tag("v1.0.0")
	if frozen := into[[]ledger.Freeze](t, s.do(http.MethodGet, "/freezes", nil)); len(frozen) != 0 {
		t.Errorf("frozen before: %+v", frozen)
	}
	set := into[ledger.Freeze](t, s.posted("/freezes", `{"environment":"dev","until":"24h","reason":"incident","by":"alice"}`, http.StatusOK))
	if set.Environment != "dev" || set.App != "" || !set.Until.After(set.Since) || set.By != "alice" {
		t.Errorf("the freeze is %+v", set)
	}
	if frozen := into[[]ledger.Freeze](t, s.do(http.MethodGet, "/freezes", nil)); len(frozen) != 1 || frozen[0].Reason != "incident" {
		t.Errorf("frozen: %+v, want dev", frozen)
	}
	id := s.order(`{"app":"orders","tag":"v1.0.0","by":"alice"}`).ID
	s.settle()
	if view := s.show(id); view.State != release.Refused || !strings.Contains(view.Error, "dev is frozen until") {
		t.Errorf("the release is %s (%s), want it refused", view.State, view.Error)
	}
	s.posted("/freezes/clear", `{"app":"orders","environment":"dev","by":"alice"}`, http.StatusNotFound)
	lifted := into[ledger.Freeze](t, s.posted("/freezes/clear", `{"environment":"dev","by":"bob"}`, http.StatusOK))
	if lifted.Lifted == nil || lifted.Lifted.By != "bob" {
		t.Errorf("the freeze is %+v, want it lifted by bob", lifted)
	}
	again := s.order(`{"app":"orders","tag":"v1.0.0","retry":true,"by":"alice"}`).ID
	s.settle()
	if view := s.show(again); view.State != release.Succeeded {
		t.Errorf("the retry is %s (%s)", view.State, view.Error)
	}
}

func TestAnOrderDuringAFreezeSaysWhy(t *testing.T) {
	s := serve(t, "", nil)
	s.tag("v1.0.0")
	s.posted("/freezes", `{"app":"orders","until":"2031-01-01T00:00:00Z","reason":"incident","by":"alice"}`, http.StatusOK)
	s.posted("/releases", `{"app":"orders","tag":"v1.0.0","during_freeze":"\u001b[2J","by":"alice"}`, http.StatusBadRequest)
	id := s.order(`{"app":"orders","tag":"v1.0.0","during_freeze":"checkout is down","by":"alice"}`).ID
	s.settle()
	if view := s.show(id); view.State != release.Succeeded || view.Request.DuringFreeze != "checkout is down" {
		t.Errorf("the release is %s (%s), let through because of %q", view.State, view.Error, view.Request.DuringFreeze)
	}
}

func TestFreezesThatCannotBe(t *testing.T) {
	s := serve(t, "", nil)
	for name, body := range map[string]string{
		"of nothing":                  `{"until":"1h","reason":"x","by":"alice"}`,
		"without a reason":            `{"app":"orders","until":"1h","by":"alice"}`,
		"by nobody":                   `{"app":"orders","until":"1h","reason":"x"}`,
		"of an app that is not there": `{"app":"oders","until":"1h","reason":"x","by":"alice"}`,
		"until the past":              `{"app":"orders","until":"-1h","reason":"x","by":"alice"}`,
		"with a reason like a screen": `{"app":"orders","until":"1h","reason":"\u001b[2J","by":"alice"}`,
		"of an unknown field":         `{"application":"orders","until":"1h","reason":"x","by":"alice"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			refused(t, s.posted("/freezes", body, http.StatusBadRequest), http.StatusBadRequest)
		})
	}
	s.t = t
	refused(t, s.posted("/freezes/clear", `{"by":"alice"}`, http.StatusBadRequest), http.StatusBadRequest)
	refused(t, s.posted("/freezes/clear", `{"app":"orders","by":"\u001b[2J"}`, http.StatusBadRequest), http.StatusBadRequest)
}

func TestAReleaseIsHalted(t *testing.T) {
	view := asked(t, func(s inside, id string) {
		for _, body := range []string{`{"by":"bob"}`, `{"reason":"wrong build"}`, `{"by":"bob","reason":"  \t"}`, `{"by":" ","reason":"wrong build"}`, `{"by":"bob","reason":"\u001b[2J"}`} {
			refused(t, s.post("/releases/"+id+"/halt", body), http.StatusBadRequest)
		}
		for range 2 { // the second is told the same
			g := s.post("/releases/"+id+"/halt", `{"by":"bob","reason":"wrong build"}`)
			if halted := into[report.View](t, g).Halted; g.status != http.StatusOK || halted == nil || halted.By != "bob" || halted.Reason != "wrong build" {
				t.Errorf("got %d %s, want it halted by bob", g.status, g.body)
			}
		}
	})
	if view.State != release.FailedClean || view.Error != "halted by bob: wrong build" {
		t.Errorf("the release is %s (%s), want it halted", view.State, view.Error)
	}
}

func TestWhatHasEndedIsNotHalted(t *testing.T) {
	s := serve(t, "", nil)
	s.tag("v1.0.0")
	id := s.order(`{"app":"orders","tag":"v1.0.0","by":"alice"}`).ID
	s.settle()
	p := refused(t, s.posted("/releases/"+id+"/halt", `{"by":"bob","reason":"x"}`, http.StatusConflict), http.StatusConflict)
	if !strings.Contains(p.Error, "has ended: succeeded") {
		t.Errorf("got %q", p.Error)
	}
	refused(t, s.posted("/releases/nothing/halt", `{"by":"bob","reason":"x"}`, http.StatusNotFound), http.StatusNotFound)
}
