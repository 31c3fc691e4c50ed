package release

import (
	"context"
	"time"
)

// StepState is where a step stands.
type StepState string

// The states of a step.
const (
	StepPending    StepState = "pending"
	StepRunning    StepState = "running"
	StepDone       StepState = "done"
	StepUnchanged  StepState = "unchanged"
	StepFailed     StepState = "failed"
	StepRolledBack StepState = "rolled_back"
)

// Result is what came of a step so far. It is recorded before a turn's first
// write and after each turn, so that whoever runs the step again knows.
type Result struct {
	Step  string    `json:"step"`
	State StepState `json:"state"`
	// After says for people what there is now.
	After  string `json:"after,omitempty"`
	Error  string `json:"error,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	// Touched is recorded before the first write: the object may then differ
	// from what the plan found, and a rollback has to look at it.
	Touched bool `json:"touched,omitempty"`
	// InFlight is until when a write may still arrive of which nobody knows what became, on an
	// object that shows no change yet: one of a task that lives on while the step goes on without
	// it, or one that timed out.
	InFlight time.Time `json:"in_flight,omitzero"`
	// Wrote is when the release last wrote the object, as far as that was recorded.
	Wrote time.Time `json:"wrote,omitzero"`
	// Restored is true once a rollback has the object as before: what it may still wait for is what
	// could be on its way there.
	Restored bool `json:"restored,omitempty"`
	// Retries counts consecutive transient errors.
	Retries int `json:"retries,omitempty"`
	// Started is when the step was first worked at, Undoing when its rollback was.
	Started time.Time `json:"started,omitzero"`
	Undoing time.Time `json:"undoing,omitzero"`
	Updated time.Time `json:"updated"`

	// LayerVersion is the ARN of the published or reused layer version.
	LayerVersion string `json:"layer_version,omitempty"`
	// Version is the function version that was published.
	Version string `json:"version,omitempty"`
	// SavedVersion is a function version that keeps $LATEST as it was, variables included.
	SavedVersion string `json:"saved_version,omitempty"`
	// SavedCode is the staged archive of $LATEST as it was.
	SavedCode *Object `json:"saved_code,omitempty"`
	// Smoked is true when the smoke invocation of Version has passed.
	Smoked bool `json:"smoked,omitempty"`
	// Weight is the percentage of Version since WeightSet; Began is when the shift (or the bake) did.
	Weight    int       `json:"weight,omitempty"`
	WeightSet time.Time `json:"weight_set,omitzero"`
	Began     time.Time `json:"began,omitzero"`
}

// ReadLag is how long after a write a read may still be answered from before it. No
// service that Tagboat changes promises less; a look that shows nothing of a write
// is not believed before.
const ReadLag = 10 * time.Second

// Staging is how far an artifact is on its way into the state bucket, and into
// those of the other regions that need it.
type Staging struct {
	Artifact string       `json:"artifact"`
	State    StagingState `json:"state"`
	// Region is the one that it is being stored in; empty else.
	Region string `json:"region,omitempty"`
	// Done are the bytes that are there, Total is how many there will be: 0 if nobody can know.
	Done  int64 `json:"done"`
	Total int64 `json:"total,omitempty"`
}

// StagingState is where an artifact stands.
type StagingState string

// The states of an artifact.
const (
	Fetching StagingState = "fetching"
	Storing  StagingState = "storing"
	Staged   StagingState = "staged"
)

// Work is one step with all that a kind needs to carry it out or to undo it.
type Work struct {
	Release *Release
	Plan    *Plan
	Step    Step
	Target  Target
	// Result is what earlier turns recorded; a kind changes it in place.
	Result *Result
	// Earlier is the result of another step of the release, by [StepID].
	Earlier func(stepID string) (Result, bool)
	// Guard checks that the release may still write: it holds its lease with a
	// margin, and nobody took it over. It is called right before each write.
	Guard func(ctx context.Context) error
	// Save records Result; it is durable when Save returns.
	Save func(ctx context.Context) error
	// Late is when a write that is sent now cannot arrive any more.
	Late func() time.Time
}

// Touch records that the object is about to be changed and checks the lease.
// A kind calls it before each write.
func (w *Work) Touch(ctx context.Context) error { return w.touch(ctx, !w.Result.Touched) }

// TouchAsFound is Touch for an object that is as the plan found it, whatever was written before, or for a
// write without a revision: nobody could see by the object that it is under way, so that it is recorded each
// time.
func (w *Work) TouchAsFound(ctx context.Context) error { return w.touch(ctx, true) }

func (w *Work) touch(ctx context.Context, record bool) error {
	if record {
		before := w.Result.Touched
		w.Result.Touched, w.Result.InFlight = true, w.Late()
		if err := w.Save(ctx); err != nil {
			w.Result.Touched = before // not recorded, perhaps: the next try has to record it before it writes
			return err
		}
	}
	return w.Guard(ctx)
}

// Stepper carries out one or more kinds of steps. Both methods look at the world,
// do the next thing and answer how long to wait before the next turn; 0 is
// done. They can be run again at any time, after any crash. An error of kind
// Transient is tried again; any other ends the step.
type Stepper interface {
	Apply(ctx context.Context, w *Work) (wait time.Duration, err error)
	// RollBack restores what w.Step found, if Apply may have changed it. It does
	// nothing where nothing is to be undone.
	RollBack(ctx context.Context, w *Work) (wait time.Duration, err error)
}
