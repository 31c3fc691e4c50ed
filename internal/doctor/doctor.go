// Package doctor looks whether an installation can work: from outside, with the
// credentials of whoever asks ([Outside]), and from inside, with the role of a
// function of the stack that target accounts trust ([Inside]). It changes nothing.
//
// Every look ends in a [Finding]. What could not be looked at is told as such: a
// missing permission of the one who asks is no fault of the installation, and no
// proof of its health either.
package doctor

import (
	"context"
	"fmt"

	"github.com/tagboat/tagboat/internal/awserr"
	"github.com/tagboat/tagboat/internal/release"
)

// State is how a look ended.
type State string

// The states of findings.
const (
	OK State = "ok"
	// Warning: it works, but not as it should.
	Warning State = "warning"
	// Failed: releases fail because of it, or it is not safe.
	Failed State = "failed"
	// NotChecked: nobody knows; the detail says why.
	NotChecked State = "not_checked"
)

// Finding is what a look found.
type Finding struct {
	// Check is the kind of the look, Object what was looked at.
	Check  string `json:"check"`
	Object string `json:"object,omitempty"`
	State  State  `json:"state"`
	// Detail says what was found, Remedy what to do about it.
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// Report is everything that was found, in the order of the looks.
type Report []Finding

// Count is how many findings have a state.
func (r Report) Count(s State) int {
	n := 0
	for _, f := range r {
		if f.State == s {
			n++
		}
	}
	return n
}

// look adds findings about one object.
type look struct {
	report        *Report
	check, object string
}

func (r *Report) look(check, object string) look { return look{r, check, object} }

// add adds a finding; errors of AWS's clients are told in few words.
func (l look) add(s State, remedy, detail string, args ...any) {
	for i, arg := range args {
		if err, is := arg.(error); is {
			args[i] = awserr.Brief(err)
		}
	}
	*l.report = append(*l.report, Finding{Check: l.check, Object: l.object, State: s, Detail: fmt.Sprintf(detail, args...), Remedy: remedy})
}

func (l look) ok(detail string, args ...any) { l.add(OK, "", detail, args...) }

func (l look) warn(remedy, detail string, args ...any) { l.add(Warning, remedy, detail, args...) }

func (l look) fail(remedy, detail string, args ...any) { l.add(Failed, remedy, detail, args...) }

func (l look) skip(why string, args ...any) {
	l.add(NotChecked, "", "not checked because "+why, args...)
}

// unnamed skips what whoever asks can name with a flag.
func (l look) unnamed(why, flag string) {
	l.add(NotChecked, "Name it with "+flag+", as tagboat serve has it.", "not checked because %s", why)
}

// gone are codes by which services say that an object is not there, beside [awserr.NotFound].
var gone = awserr.Meaning{
	"NoSuchBucket": release.NotFound, "NoSuchKey": release.NotFound, "NotFound": release.NotFound, "StateMachineDoesNotExist": release.NotFound,
	"TableNotFoundException": release.NotFound, "Forbidden": release.Denied,
}

// refused tells what an error of a look from outside means: an object that is
// not there is a failure, anything else says nothing about it.
func (l look) refused(err error, remedy string) {
	switch gone.KindOf(err) {
	case release.NotFound:
		l.fail(remedy, "it is not there: %v", err)
	case release.Denied:
		l.add(NotChecked, "Use credentials that may look at it.", "not checked because you may not: %v", err)
	default:
		l.skip("it could not be asked: %v", err)
	}
}

// ended tells whether there is no time for another look.
func (l look) ended(ctx context.Context) bool {
	if ctx.Err() == nil {
		return false
	}
	l.skip("the time was over")
	return true
}
