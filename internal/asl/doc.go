// Package asl runs state machines of the Amazon States Language in this process.
//
// It implements the part of the language, in its JSONPath mode, that Tagboat's
// definition uses, and behaves as Step Functions does where the two can be
// compared: the same outputs, error names, retries, limits and history events.
// [Load] refuses everything else, so that a definition that loads here means
// here what it means there. The rules are those of
// https://states-language.net/spec.html and of the Step Functions developer
// guide; where the guide is silent they follow recorded executions.
//
// An [Engine] keeps its executions in a [Store]. It writes a [Checkpoint] at
// each transition between top-level states, before the next state begins. After
// a crash [Engine.Resume] runs the state that was current once more from its
// input, a Map as a whole: tasks must bear being run again.
//
// All waiting goes through a clock.Clock, so that an engine also works in
// virtual time.
//
// # What differs from Step Functions
//
//   - States.DataLimitExceeded is never matched by States.ALL, as the guide says.
//   - A missing path in InputPath, OutputPath, Parameters, ItemSelector or
//     ResultSelector and a failing intrinsic are States.Runtime, which nothing
//     retries or catches. The guide also has the names
//     States.ParameterPathFailure and States.IntrinsicFailure for them; recorded
//     executions end with States.Runtime.
//   - A task's result has ExecutedVersion, Payload and StatusCode, and none of
//     the SDK's metadata.
package asl
