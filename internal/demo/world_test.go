package demo_test

import (
	"io"
	"testing"

	"github.com/tagboat/tagboat/internal/clock"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
	"github.com/tagboat/tagboat/internal/release"
	"github.com/tagboat/tagboat/internal/sim"
)

func TestTagReleaseReachesEveryTarget(t *testing.T) {
	w, err := demo.NewWorld(t.Context(), demo.WorldOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Repo.Tag("v1.0.0", w.Repo.Commit("main", "first", demo.Files(demo.Handler, "2.32.3")))
	answer := w.Deliver(t.Context(), w.GitHub.Push(w.Repo, "v1.0.0"))
	if answer.Status != release.AnswerStarted {
		t.Fatalf("%+v", answer)
	}
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	rel, err := w.Release(t.Context(), answer.Releases[0])
	if err != nil {
		t.Fatal(err)
	}
	if rel.State != release.Succeeded {
		t.Errorf("state is %s, want succeeded", rel.State)
	}
}

func TestDropReplacesOneArtifact(t *testing.T) {
	w, err := demo.NewWorld(t.Context(), demo.WorldOptions{})
	if err != nil {
		t.Fatal(err)
	}
	zip, err := demo.Zip(map[string]string{"python/x.py": "x = 1\n"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Upload(t.Context(), "drops/orders/deps/2.0.0.zip", zip, map[string]string{"actor": "ci"}); err != nil {
		t.Fatal(err)
	}
	if len(w.Answers) != 1 || w.Answers[0].Status != release.AnswerStarted {
		t.Fatalf("answers: %+v", w.Answers)
	}
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	rel, err := w.Release(t.Context(), w.Answers[0].Releases[0])
	if err != nil || rel.State != release.Succeeded {
		t.Errorf("got %s %q (%v), want succeeded", rel.State, rel.Error, err)
	}
}

func TestTheLedgerMayBeInDynamoDB(t *testing.T) {
	tables := sim.New(clock.System{})
	tables.CreateTable(demo.Tools, demo.Home, "ledger")
	w, err := demo.NewWorld(t.Context(), demo.WorldOptions{
		Table: ledger.NewDynamoTable(tables.Root(demo.Tools).DynamoDB(demo.Home), "ledger"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Tell(t.Context(), w, io.Discard); err != nil {
		t.Error(err)
	}
}
