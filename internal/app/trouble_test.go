package app_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tagboat/tagboat/internal/asl"
	"github.com/tagboat/tagboat/internal/demo"
	"github.com/tagboat/tagboat/internal/ledger"
)

// blow is a fault of one call: the n-th one across a boundary, counted from the
// beginning of the run or, if late, from that of the rollback.
type blow struct {
	boundary, kind string
	n              int
	late           bool
}

func (b blow) String() string {
	if b.late {
		return fmt.Sprintf("%s call %d of the rollback %s", b.boundary, b.n, b.kind)
	}
	return fmt.Sprintf("%s call %d %s", b.boundary, b.n, b.kind)
}

// needsHand tells whether the fault can leave an environment to a person.
func (b blow) needsHand() bool {
	return slices.Contains([]string{codeByHand, settlesLate, neverSettles}, b.kind)
}

// call is one call across a boundary.
type call struct {
	boundary, what string
	// reads tells that it changes nothing; token, that it is a task with a token.
	reads, token bool
}

// trouble is what goes wrong in a run and what was seen on the way.
type trouble struct {
	w     *world
	blows []blow
	// struck is how many of the blows fell.
	struck int
	calls  []call
	// undoing is how many calls had been made when the rollback began, or -1.
	undoing     int
	count, late map[string]int
	// denied is until when all calls across a boundary are refused.
	denied map[string]time.Time
	// portrait is the world when the rollback began after a first fault.
	portrait string
	// over is true when the run is, and nothing goes wrong any more.
	over bool
}

// trouble makes the blows fall. Tasks live as in Lambda: an execution that ends
// does not end what is under way.
func (w *world) trouble(blows ...blow) *trouble {
	x := &trouble{w: w, blows: blows, undoing: -1, count: map[string]int{}, late: map[string]int{}, denied: map[string]time.Time{}}
	w.detached = true
	for _, b := range boundaries() {
		b.install(x)
	}
	w.onEnd = func(e asl.Execution) {
		if e.Status != asl.StatusSucceeded {
			x.begin(e.Name + " ends as " + string(e.Status))
		}
	}
	return x
}

// next counts a call and says how it fails, if it does.
func (x *trouble) next(c call) (kind string) {
	if x.over {
		return ""
	}
	x.calls = append(x.calls, c)
	x.count[c.boundary]++
	if x.undoing >= 0 {
		x.late[c.boundary]++
	}
	for _, b := range x.blows {
		n := x.count[b.boundary]
		if b.late {
			n = x.late[b.boundary]
		}
		if b.boundary == c.boundary && b.n == n {
			x.struck++
			return b.kind
		}
	}
	return ""
}

// beginsWith tells whether a rollback or a recovery begins with a task.
func beginsWith(k task) bool {
	return k.in.Do == "prepare" || k.in.Do == "take_over" || k.in.Do == "fail"
}

// begin marks the beginning of the rollback.
func (x *trouble) begin(with string) {
	if x.undoing >= 0 || x.over {
		return
	}
	x.undoing = len(x.calls)
	if len(x.blows) == 1 {
		x.portrait = with + "\n" + x.w.portrait()
	}
}

// undone are the calls since the rollback began.
func (x *trouble) undone() []call {
	if x.undoing < 0 {
		return nil
	}
	return x.calls[x.undoing:]
}

// way is what was done since the rollback began: the tasks in their order, and every call
// that changes something. The reads in between follow from these.
func (x *trouble) way() string {
	var steps []string
	for _, c := range x.undone() {
		if !c.reads {
			steps = append(steps, c.boundary+" "+c.what)
		}
	}
	return strings.Join(steps, "\n")
}

// blurred are what two worlds may differ in and still be taken for the same: times, the wording
// of errors, and the names that revisions, writers and versions of documents have got.
var blurred = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`"(error|remedy|cause)":"(\\.|[^"\\])*"`), `"$1":"TEXT"`},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "REVISION"},
	{regexp.MustCompile(`"(version_id|writer)":"[^"]*"`), `"$1":"NAME"`},
	{regexp.MustCompile(`(?m)^\S+ note/said/.*\n?`), ""}, // next steps, by what the error is worded like
}

// portrait is all that a rollback may find: functions with their versions and aliases, layer
// versions with their grants, the names of the documents and the whole ledger.
func (w *world) portrait() string {
	var b strings.Builder
	for _, site := range demo.Sites() {
		for _, name := range w.Cloud.Functions(site.Account, site.Region) {
			f, _ := w.Cloud.Function(site.Account, site.Region, name)
			fmt.Fprintln(&b, site, name, describe(f), f.Latest.Configuration.LastUpdateStatus)
			for _, v := range f.Published {
				fmt.Fprintln(&b, v.Version, v.CodeSha256, v.Layers, v.Environment, v.Configuration.State)
			}
		}
	}
	for _, region := range []string{demo.Home, demo.Europe} {
		for _, name := range w.Cloud.Layers(demo.Tools, region) {
			for _, v := range w.Cloud.LayerVersions(demo.Tools, region, name) {
				fmt.Fprintln(&b, v.ARN, v.CodeSha256, v.Grants)
			}
		}
	}
	var keys []string
	for _, bucket := range []string{demo.StateBucket, demo.EuropeBucket} {
		for _, o := range w.Cloud.Objects(bucket) {
			keys = append(keys, bucket+"/"+o.Key)
		}
	}
	slices.Sort(keys)
	fmt.Fprintln(&b, slices.Compact(keys))
	b.WriteString(w.table.portrait(w))
	text := b.String()
	for _, blur := range blurred {
		text = blur.pattern.ReplaceAllString(text, blur.with)
	}
	return text
}

// portrait is the ledger's part.
func (f *flakyTable) portrait(w *world) string {
	var lines []string
	for partition := range f.partitions {
		items, err := f.Table.Query(w.t.Context(), partition, "", ledger.Page{})
		if err != nil {
			w.t.Error(err)
		}
		for _, item := range items {
			lines = append(lines, item.Key.String()+" "+string(item.Body))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
