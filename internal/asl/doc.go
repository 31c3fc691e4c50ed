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
// # Where the States Language and Step Functions differ
//
// The engine follows Step Functions there:
//
//   - A path that finds nothing in Parameters, ItemSelector or ResultSelector.
//     The specification (Payload Template): "If the path is legal but cannot be
//     applied successfully, the interpreter fails the machine execution with an
//     Error Name of States.ParameterPathFailure". Step Functions also fails the
//     execution, but names it States.Runtime, of which the developer guide says
//     (Error names): it "will always cause the execution to fail" and a Catch of
//     States.ALL "won't catch" it. So does the engine: nothing retries or catches
//     it, and its name is States.Runtime. An intrinsic function that fails
//     (specification: States.IntrinsicFailure) and a missing path in InputPath or
//     OutputPath are the same.
//   - States.DataLimitExceeded is never matched by States.ALL, as the guide says.
//     The specification does not know it.
//
// # What differs from Step Functions
//
//   - A task's result has ExecutedVersion, Payload and StatusCode, and none of
//     the SDK's metadata.
//
// # What differs from moto's interpreter
//
// e2e/test_asl.py runs the definition on both, and lists each difference with its
// clause. There are two: moto's Catch takes the States.Runtime above, against
// both texts; and an execution that passes the TimeoutSeconds of the machine
// ends TIMED_OUT without an error, where the specification (Top-level fields)
// has the interpreter fail "the machine with a States.Timeout Error Name".
package asl
