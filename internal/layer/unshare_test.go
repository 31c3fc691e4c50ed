package layer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/layer"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

// unsharer takes back what w's tools account shares.
func (w *world) unsharer() *layer.Unsharer {
	return &layer.Unsharer{Clock: w.clock, Lambda: func(_ context.Context, target release.Target) (layer.Revoker, error) {
		return w.cloud.Root(target.Account).Lambda(target.Region), nil
	}}
}

// takeBack takes the first version back.
func (w *world) takeBack(ctx context.Context, grant release.Grant) error {
	_, err := w.unsharer().TakeBack(ctx, at, firstARN, grant)
	return err
}

const firstARN = "arn:aws:lambda:" + region + ":" + tools + ":layer:" + name + ":1"

// shared publishes the layer and shares it with two accounts and the organisation.
func (w *world) shared(ctx context.Context) {
	w.t.Helper()
	must(w.t, w.run(ctx, w.publishStep()))
	must(w.t, w.run(ctx, shareStep(release.Grant{Account: member}, release.Grant{Account: other}, release.Grant{Organization: org})))
}

// stays checks which statements are left.
func (w *world) stays(want ...string) {
	w.t.Helper()
	var got []string
	for _, g := range w.versions()[0].Grants {
		got = append(got, g.StatementID)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("statements left: %v, want %v", got, want)
	}
}

func TestAGrantIsTakenBackAndNoOther(t *testing.T) {
	one, two, all := "tagboat-account-"+member, "tagboat-account-"+other, "tagboat-organization-"+org
	for _, test := range []struct {
		grant release.Grant
		stays []string
	}{
		{release.Grant{Account: other}, []string{one, all}},
		{release.Grant{Organization: org}, []string{one, two}},
		{release.Grant{Public: true}, []string{one, two, all}},
		{release.Grant{Account: "444444444444"}, []string{one, two, all}},
	} {
		t.Run(test.grant.String(), func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) {
				w.shared(ctx)
				for range 2 { // again does no harm
					must(t, w.takeBack(ctx, test.grant))
				}
			})
			w.stays(test.stays...)
		})
	}
}

func TestEveryStatementOfAGrantIsTakenBackWhateverItsID(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		w.shared(ctx)
		w.grant(ctx, "by-hand", "arn:aws:iam::"+other+":root")
		must(t, w.takeBack(ctx, release.Grant{Account: other}))
	})
	w.stays("tagboat-account-"+member, "tagboat-organization-"+org)
}

// TestEveryCallOfTakingBackMayFail loses each call before and after it is made.
func TestEveryCallOfTakingBackMayFail(t *testing.T) {
	faults := map[string]sim.Fault{
		"is lost": {Before: sim.Timeout()}, "is done and its answer is lost": {After: sim.Timeout()}, "is throttled": {Before: sim.Throttled("lambda")},
	}
	taking := func(t *testing.T, fault sim.Fault, n int) int {
		w, made := newWorld(t), 0
		w.do(func(ctx context.Context) {
			w.shared(ctx)
			w.cloud.OnCall(func(sim.Call) sim.Fault {
				if made++; made == n {
					return fault
				}
				return sim.Fault{}
			})
			must(t, w.takeBack(ctx, release.Grant{Account: other}))
		})
		w.stays("tagboat-account-"+member, "tagboat-organization-"+org)
		return made
	}
	calls := taking(t, sim.Fault{}, 0)
	if calls < 3 { // look, act, look again
		t.Fatalf("only %d calls", calls)
	}
	for what, fault := range faults {
		for n := range calls {
			t.Run(fmt.Sprintf("call %d %s", n+1, what), func(t *testing.T) { taking(t, fault, n+1) })
		}
	}
}

// TestAPolicyFromBeforeTheLastWriteIsNotBelieved neither right after the grant was
// made nor right after it was removed.
func TestAPolicyFromBeforeTheLastWriteIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		must(t, w.run(ctx, w.publishStep()))
		must(t, w.run(ctx, shareStep(release.Grant{Account: member})))
		w.grant(ctx, "by-hand", other)
		w.cloud.OnCall(func(call sim.Call) sim.Fault { return sim.Fault{Stale: call.Action == "GetLayerVersionPolicy"} })
		must(t, w.takeBack(ctx, release.Grant{Account: other}))
	})
	w.stays("tagboat-account-" + member)
}

// lagging answers reads of a policy with what stands in its place, as replicas do
// that have not seen the last writes; nil is the policy as it is, "" that there is none.
type lagging struct {
	layer.Revoker
	answers *[]*string
}

func (l lagging) GetLayerVersionPolicy(ctx context.Context, in *lambda.GetLayerVersionPolicyInput, o ...func(*lambda.Options)) (*lambda.GetLayerVersionPolicyOutput, error) {
	if len(*l.answers) == 0 {
		return l.Revoker.GetLayerVersionPolicy(ctx, in, o...)
	}
	answer := (*l.answers)[0]
	switch *l.answers = (*l.answers)[1:]; {
	case answer == nil:
		return l.Revoker.GetLayerVersionPolicy(ctx, in, o...)
	case *answer == "":
		return nil, &types.ResourceNotFoundException{}
	}
	return &lambda.GetLayerVersionPolicyOutput{Policy: answer}, nil
}

// TestAPolicyFromBeforeTheGrantIsNotBelieved whatever this run has removed before.
func TestAPolicyFromBeforeTheGrantIsNotBelieved(t *testing.T) {
	none, replaced := "", `{"Statement": [{"Sid": "replaced", "Effect": "Allow", "Action": "lambda:GetLayerVersion", "Principal": "`+other+`"}]}`
	for _, test := range []struct {
		name    string
		answers []*string
	}{
		{"at first", []*string{&none}},
		{"after one of two statements is removed", []*string{nil, &none}},
		{"after a statement that is not there any more", []*string{&replaced, &none}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) {
				w.shared(ctx)
				w.grant(ctx, "by-hand", other)
				u, answers := w.unsharer(), test.answers
				u.Lambda = func(context.Context, release.Target) (layer.Revoker, error) {
					return lagging{w.cloud.Root(tools).Lambda(region), &answers}, nil
				}
				_, err := u.TakeBack(ctx, at, firstARN, release.Grant{Account: other})
				must(t, err)
			})
			w.stays("tagboat-account-"+member, "tagboat-organization-"+org)
		})
	}
}

func TestAPolicyThatOthersChangeMeanwhileIsLookedAtAgain(t *testing.T) {
	w := newWorld(t)
	refused := 0
	w.do(func(ctx context.Context) {
		w.shared(ctx)
		changed := false
		w.cloud.OnCall(func(call sim.Call) sim.Fault {
			if call.Action == "RemoveLayerVersionPermission" {
				refused++
				if !changed {
					changed = true
					w.grant(ctx, "by-another-hand", "222222222222")
				}
			}
			return sim.Fault{}
		})
		must(t, w.takeBack(ctx, release.Grant{Account: other}))
	})
	if refused != 2 {
		t.Errorf("%d removals, want one that came too late and one more", refused)
	}
	w.stays("tagboat-account-"+member, "tagboat-organization-"+org, "by-another-hand")
}

func TestARefusalToTakeBackEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		w.shared(ctx)
		tries := 0
		u := &layer.Unsharer{Clock: w.clock, Lambda: func(context.Context, release.Target) (layer.Revoker, error) {
			tries++
			return nil, release.Errorf(release.Denied, "not you").WithRemedy("Ask.")
		}}
		if _, err := u.TakeBack(ctx, at, firstARN, release.Grant{Account: other}); release.KindOf(err) != release.Denied || tries != 1 {
			t.Errorf("got %v after %d tries", err, tries)
		}
	})
}

// manyfold answers with a policy as nobody can write it by AddLayerVersionPermission.
type manyfold struct {
	layer.Revoker
	text    string
	removed *int
}

func (m manyfold) GetLayerVersionPolicy(context.Context, *lambda.GetLayerVersionPolicyInput, ...func(*lambda.Options)) (*lambda.GetLayerVersionPolicyOutput, error) {
	return &lambda.GetLayerVersionPolicyOutput{Policy: &m.text}, nil
}

func (m manyfold) RemoveLayerVersionPermission(context.Context, *lambda.RemoveLayerVersionPermissionInput, ...func(*lambda.Options)) (*lambda.RemoveLayerVersionPermissionOutput, error) {
	*m.removed++
	return &lambda.RemoveLayerVersionPermissionOutput{}, nil
}

func TestAStatementForOthersAsWellIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	removed := 0
	w.do(func(ctx context.Context) {
		w.shared(ctx)
		u := &layer.Unsharer{Clock: w.clock, Lambda: func(context.Context, release.Target) (layer.Revoker, error) {
			return manyfold{w.cloud.Root(tools).Lambda(region), `{"Statement": [{"Sid": "both", "Effect": "Allow", "Action": "lambda:GetLayerVersion",
				"Principal": {"AWS": ["` + member + `", "` + other + `"]}}]}`, &removed}, nil
		}}
		began, err := u.TakeBack(ctx, at, firstARN, release.Grant{Account: other})
		if release.KindOf(err) != release.Conflict || !strings.Contains(err.Error(), `"both"`) || release.RemedyOf(err) == "" || removed != 0 || began {
			t.Errorf("got %v after %d removals (began: %t), want a refusal", err, removed, began)
		}
	})
}

func TestALookTellsWithWhomAVersionIsShared(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		w.shared(ctx)
		found, v, err := w.unsharer().Look(ctx, at, name, 1)
		must(t, err)
		want := []release.Grant{{Account: member}, {Account: other}, {Organization: org}}
		if !found || v.ARN != firstARN || v.CodeSHA256 != sum(content) || v.Revision == "" || fmt.Sprint(v.Grants()) != fmt.Sprint(want) {
			t.Errorf("got %t, %+v", found, v)
		}
		if found, _, err := w.unsharer().Look(ctx, at, name, 2); found || err != nil {
			t.Errorf("version 2: got %t, %v; want none", found, err)
		}
	})
}

func TestWhatWasTakenBackMeanwhileIsNotSharedAgain(t *testing.T) {
	w := newWorld(t)
	w.do(func(ctx context.Context) {
		must(t, w.run(ctx, w.publishStep()))
		w.revoked = []release.Revocation{{Layer: firstARN, Grant: release.Grant{Account: other}, By: "alice", Reason: "x"}}
		must(t, w.run(ctx, shareStep(release.Grant{Account: member}, release.Grant{Account: other})))
	})
	w.stays("tagboat-account-" + member)
	if after := w.durable[release.StepID(release.ShareLayer, site, name)].After; !strings.Contains(after, "not shared with account "+other+": taken back by alice") {
		t.Errorf("the step says %q", after)
	}
}

// TestAFirstGrantThatComesLateDoesNotUndoATakingBack although nothing guards it: the
// version has no policy, and so no revision.
func TestAFirstGrantThatComesLateDoesNotUndoATakingBack(t *testing.T) {
	grant := release.Grant{Account: other}
	for _, test := range []struct {
		name string
		// meanwhile is done just before the grant is carried out.
		meanwhile func(w *world, ctx context.Context) sim.Fault
		undone    bool
	}{
		{"taken back before", func(w *world, _ context.Context) sim.Fault {
			w.revoked[0].Gone = w.clock.Now()
			return sim.Fault{}
		}, true},
		{"taken back before, and the answer is lost", func(w *world, _ context.Context) sim.Fault {
			w.revoked[0].Gone = w.clock.Now()
			return sim.Fault{After: sim.Timeout()}
		}, true},
		{"the taking back comes to no end", func(*world, context.Context) sim.Fault { return sim.Fault{} }, true},
		{"taken back after", func(w *world, ctx context.Context) sim.Fault {
			w.clock.Go(func() {
				_ = w.clock.Sleep(ctx, 5*time.Second)
				must(t, w.takeBack(ctx, grant))
				w.revoked[0].Gone = w.clock.Now()
			})
			return sim.Fault{}
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.do(func(ctx context.Context) {
				must(t, w.run(ctx, w.publishStep()))
				w.cloud.OnCall(func(call sim.Call) sim.Fault {
					if call.Action != "AddLayerVersionPermission" {
						return sim.Fault{}
					}
					w.revoked = []release.Revocation{{Layer: firstARN, Grant: grant, By: "alice", Reason: "x", At: w.clock.Now()}}
					return test.meanwhile(w, ctx)
				})
				err := w.run(ctx, shareStep(grant))
				switch {
				case !test.undone:
					must(t, err)
				case release.KindOf(err) != release.Conflict || !strings.Contains(release.RemedyOf(err), "tagboat unshare "+firstARN+" --account "+other):
					t.Errorf("got %v (remedy %q), want that it is to be taken back again", err, release.RemedyOf(err))
				}
				if undone := w.revoked[0].Gone.IsZero(); undone != test.undone {
					t.Errorf("on record is %+v", w.revoked)
				}
			})
			if test.undone {
				w.stays("tagboat-account-" + other)
				return
			}
			w.stays()
			if after := w.durable[release.StepID(release.ShareLayer, site, name)].After; !strings.Contains(after, "taken back by alice") {
				t.Errorf("the step says %q", after)
			}
		})
	}
}
