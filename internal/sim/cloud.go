// Package sim is an AWS in memory: accounts, roles, Lambda functions and layers,
// S3 buckets, CloudWatch alarms and DynamoDB tables that enforce the
// services' rules and can be made to fail at any call.
//
// There is no HTTP in it. A [Session] has clients whose methods are the SDK's own,
// with the SDK's types and error types, so that whatever narrow interface a consumer
// declares over the real client is satisfied by the fake too:
//
//	cloud := sim.New(clock.System{})
//	admin := cloud.Root("111111111111")
//	out, err := admin.Lambda("eu-west-1").GetFunction(ctx, &lambda.GetFunctionInput{…})
//
// What takes time in AWS takes [Timing] of the [clock.Clock] here. What is random in
// AWS is decided by a counter or a seed, so that one seed is one history.
//
// Hooks (OnCall, OnInvoke, OnEvent) run in the goroutine of the caller and outside of
// the cloud's lock: they may call back into the cloud, and they may wait on its clock.
package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/tagboat/tagboat/internal/clock"
)

// defaultCallRecord is how many calls a cloud remembers unless told otherwise.
const defaultCallRecord = 10_000

// Cloud is one AWS: every account, every region. Its methods may be called from
// several goroutines.
type Cloud struct {
	clock clock.Clock

	mu            sync.Mutex
	timing        Timing
	rng           *rand.Rand
	serial        uint64 // of ids, revisions and access keys
	accounts      map[string]*account
	organizations map[string]string // account → organisation
	sessions      map[string]*Session
	policies      map[string]*policy // of sessions, by their text
	buckets       map[string]*bucket
	archives      map[string]*Archive // by hex sha256
	undelivered   []json.RawMessage   // object events of the call that is being performed
	calls         []Call
	callLimit     int
	callSeq       int
	interleave    bool
	onCall        func(Call) Fault
	onInvoke      func(Invocation) InvokeResult
	onEvent       func(json.RawMessage)
	onSettle      func(Update) *Failure
}

// Timing is how long the things take that AWS does in the background.
type Timing struct {
	// Create is how long a new function is Pending. Zero: it is Active at the first look.
	Create time.Duration
	// Update is how long LastUpdateStatus is InProgress after an update.
	Update time.Duration
	// Publish is how long a published version is Pending.
	Publish time.Duration
	// Provision is how long provisioned concurrency is IN_PROGRESS.
	Provision time.Duration
}

// DefaultTiming is the timing of a new cloud: functions are there at once, everything
// else takes a few seconds as in AWS.
func DefaultTiming() Timing {
	return Timing{Update: 2 * time.Second, Publish: time.Second, Provision: 30 * time.Second}
}

// Update is one change of a function's code or configuration, or the publication of a
// version, that is going to settle.
type Update struct {
	Account, Region, Function string
	// Version is "$LATEST", or the number of the version that was published.
	Version string
	// Action is the API operation that began it.
	Action string
}

// Failure is why an update does not settle well.
type Failure struct {
	// Code and Reason are how it fails; without a Code it settles well, only late.
	Code   lambdatypes.LastUpdateStatusReasonCode
	Reason string
	// Late is how much longer than others it is in progress.
	Late time.Duration
}

// delayed is when what would settle at a time does, and how it fails then.
func (f *Failure) delayed(at time.Time) (time.Time, *Failure) {
	switch {
	case f == nil:
		return at, nil
	case f.Code == "":
		return at.Add(f.Late), nil
	}
	return at.Add(f.Late), f
}

// account is one AWS account.
type account struct {
	id      string
	roles   map[string]*role
	regions map[string]*region
}

// region is what one account has in one region.
type region struct {
	functions map[string]*function
	layers    map[string]*layer
	alarms    map[string]*alarm
	tables    map[string]*table
	// earlier is what functions and layers were before their last write, by kind and name.
	earlier map[string]*earlier
}

// New makes an empty cloud. Accounts and regions spring into being when they are named.
func New(c clock.Clock) *Cloud {
	return &Cloud{
		clock:         c,
		timing:        DefaultTiming(),
		rng:           rand.New(rand.NewPCG(1, 1)),
		accounts:      map[string]*account{},
		organizations: map[string]string{},
		sessions:      map[string]*Session{},
		policies:      map[string]*policy{},
		buckets:       map[string]*bucket{},
		archives:      map[string]*Archive{},
		callLimit:     defaultCallRecord,
	}
}

// SetTiming replaces the timing, for whatever begins from now on.
func (c *Cloud) SetTiming(t Timing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timing = t
}

// Seed decides by which version a weighted alias answers each invocation.
func (c *Cloud) Seed(seed uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rng = rand.New(rand.NewPCG(seed, seed))
}

// OnSettle sets the hook that is asked at each update whether it is going to fail; nil
// is that it settles well. The hook is called under the cloud's lock: it must not
// call the cloud.
func (c *Cloud) OnSettle(hook func(Update) *Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onSettle = hook
}

// Organization makes accounts members of an organisation.
func (c *Cloud) Organization(id string, accounts ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range accounts {
		c.organizations[a] = id
	}
}

func (c *Cloud) account(id string) *account {
	a, ok := c.accounts[id]
	if !ok {
		a = &account{id: id, roles: map[string]*role{}, regions: map[string]*region{}}
		c.accounts[id] = a
	}
	return a
}

func (c *Cloud) region(accountID, name string) *region {
	a := c.account(accountID)
	r, ok := a.regions[name]
	if !ok {
		r = &region{
			functions: map[string]*function{},
			layers:    map[string]*layer{},
			alarms:    map[string]*alarm{},
			tables:    map[string]*table{},
			earlier:   map[string]*earlier{},
		}
		a.regions[name] = r
	}
	return r
}

// next is the next serial number; c.mu is held.
func (c *Cloud) next() uint64 {
	c.serial++
	return c.serial
}

// uuid is the next id in the form of a UUID; c.mu is held.
func (c *Cloud) uuid() string {
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", c.next())
}

// failureOf asks the hook about an update; c.mu is held.
func (c *Cloud) failureOf(f *function, version, action string) *Failure {
	if c.onSettle == nil {
		return nil
	}
	return c.onSettle(Update{Account: f.account, Region: f.region, Function: f.name, Version: version, Action: action})
}
