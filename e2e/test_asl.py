"""The state machine by a foreign interpreter: the emulator's and our engine run the same executions with scripted task
results, and have to agree on the path of states, on what each task is given, and on the output."""
import concurrent.futures
import json
import logging
import os
import re
import subprocess
import threading
import time
import unittest

os.environ.setdefault("MOTO_PORT", "0")

import moto_plus
from botocore.exceptions import ClientError
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSeconds
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from processes import ROOT, binary, build
from world import DEV, HOME, PROD, TOOLS

TOOLS_SITE = {"environment": "", "account": TOOLS, "region": HOME}
DEV_SITE = {"environment": "dev", "account": DEV, "region": HOME}
PROD_SITES = [{"environment": "prod", "account": PROD, "region": region} for region in (HOME, "eu-west-1")]

DONE = {"return": {"status": "done", "seconds": 0}}
WAIT = {"return": {"status": "wait", "seconds": 1}}
TRANSIENT = {"error": "Tagboat.Transient", "cause": "try again"}
FAILED = {"error": "Tagboat.Failed", "cause": "it does not work"}
HANGS = {"hang": True}  # does not answer before its task's TimeoutSeconds
SILENT = {"silent": True}  # answers, but nobody ever answers for its token


def environments(dev_sites, prod_sites):
    return [{"name": "dev", "approval": False, "sites": dev_sites}, {"name": "prod", "approval": True, "sites": prod_sites}]


def plan(**changes):
    made = {"release": "r", "dry_run": False, "publish": [TOOLS_SITE], "share": [TOOLS_SITE],
            "environments": environments([DEV_SITE], PROD_SITES), "count": 2}
    return {"return": dict(made, **changes)}


# What each task answers unless a case says otherwise.
BASE = {
    "ReadManifest": [{"return": {"artifacts": ["code", "deps"], "sites": [DEV_SITE, *PROD_SITES]}}],
    "Plan": [plan()],
    "RequestApproval": [{"token": {"succeed": {}}}],
    "AcquireLease": [{"token": {"succeed": {}, "inside": True}}],
    "PlanEnvironment": [{"return": {"decision": "go"}}],
    "Finish": [{"return": {"end": "succeeded"}}],
    "Conclude": [{"return": {"end": "clean"}}],
    "Prune": [DONE],
    "TakeOver": [{"return": {"finished": False, "error": {"Error": "Tagboat.Interrupted", "Cause": "it died"}}}],
    "PrepareRollBack": [{"return": {"sites": [DEV_SITE]}}],
}


def states_of(definition, inside=""):
    """Every state with the name of the Map that it is in."""
    for name, state in definition["States"].items():
        yield inside, name, state
        if "ItemProcessor" in state:
            yield from states_of(state["ItemProcessor"], name)


def definition_for_tests():
    """The definition, in which the function of each task is called like its state."""
    with open(os.path.join(ROOT, "statemachine", "release.asl.json"), encoding="utf-8") as file:
        definition = json.load(file)
    for _, name, state in states_of(definition):
        if state["Type"] == "Task":
            state["Parameters"]["FunctionName"] = name
    return definition


def retried(state):
    """Errors to die of, one for each name that the state's Retry lists: in turns, each of as many as the retrier allows."""
    transient, *any_error = state.get("Retry", [])
    names, attempts = transient["ErrorEquals"], transient["MaxAttempts"]
    turns = [names[i:i + attempts] for i in range(0, len(names), attempts)]
    errors = [[{"error": name, "cause": "try again"} for name in turn] for turn in turns]
    # Whatever is left, and a timeout, count for another retrier (States.TaskFailed, States.Timeout).
    return errors + [[FAILED, HANGS, FAILED] for _ in any_error]


def cases_of(definition):
    """The cases: some by hand, and for each task those in which it is retried, hangs, and fails."""
    tasks = [(inside, name, state) for inside, name, state in states_of(definition) if state["Type"] == "Task"]
    in_maps = [name for inside, name, _ in tasks if inside]

    def case(name, results=None, definition="shipped", **members):
        merged = {state: [DONE] for state in in_maps} | BASE | (results or {})
        return {"name": name, "definition": definition, "input": {"release": "r", **members}, "results": merged}

    yield case("everything goes well")
    yield case("an explicit no to recovery", recover=False)
    yield case("a dry run", {"Plan": [plan(dry_run=True)]})
    yield case("nothing to do at all", {
        "ReadManifest": [{"return": {"artifacts": [], "sites": []}}],
        "Plan": [plan(publish=[], share=[], environments=[], count=0)]})
    yield case("environments without sites", {"Plan": [plan(environments=environments([], []))]})
    yield case("an environment is as planned already", {"PlanEnvironment": [{"return": {"decision": "nothing"}}]})
    yield case("the plan changed and is asked about again", {
        "PlanEnvironment": [{"return": {"decision": "ask_again"}}, {"return": {"decision": "go"}}]})
    yield case("the approval is refused", {"RequestApproval": [{"token": {"error": "Tagboat.Rejected", "cause": "by bob"}}]})
    yield case("the release is superseded while it waits for the lease", {
        "AcquireLease": [{"token": {"error": "Tagboat.Superseded", "cause": "by a newer one"}}]})
    yield case("a token's task fails before it has told the token", {"AcquireLease": [FAILED]})
    yield case("a token's task is retried", {"AcquireLease": [TRANSIENT, {"token": {"succeed": {}, "inside": True}}]})
    yield case("a token gives a result that nobody wants", {"RequestApproval": [{"token": {"succeed": {"by": "bob"}}}]})
    yield case("a recovery rolls back", recover=True)
    yield case("a recovery finds everything done", {
        "TakeOver": [{"return": {"finished": True, "error": {"Error": "x", "Cause": "y"}}}]}, recover=True)
    yield case("a recovery cannot take over", {"TakeOver": [FAILED]}, recover=True)
    for end in ("clean", "dirty", "something else"):
        yield case(f"a failure that ends {end}", {"Plan": [FAILED], "Conclude": [{"return": {"end": end}}]})
    yield case("pruning takes several turns", {"Prune": [WAIT, WAIT, DONE]})
    yield case("a rollback without sites", {"Admit": [FAILED], "PrepareRollBack": [{"return": {"sites": []}}]})
    yield case("a rollback that fails everywhere", {"UpdateSite": [FAILED], "TallyUpdates": [FAILED], "RollBackSite": [FAILED]})
    yield case("retries that are used up", {"ReadManifest": [TRANSIENT]})
    yield case("an answer without the fields that are wanted", {"Snapshot": [{"return": {}}]})
    yield case("an error whose cause is no JSON", {"Admit": [{"error": "Tagboat.Refused", "cause": "a \"tag\" that\nmoved"}]})
    yield case("the whole execution runs out of time", {"Admit": [HANGS]}, definition="hasty")
    yield case("the whole execution runs out of time inside a Map", {"Stage": [HANGS]}, definition="hasty")
    for inside, name, state in tasks:
        rolls_back = {} if name not in ("PrepareRollBack", "RollBackSite", "Conclude") else {"Admit": [FAILED]}
        if name == "ReturnLease":
            rolls_back = {"PlanEnvironment": [{"return": {"decision": "ask_again"}}, {"return": {"decision": "go"}}]}
        members = {"recover": True} if name == "TakeOver" else {}
        usual = ({state: [DONE] for state in in_maps} | BASE).get(name, [{}])
        for turn, errors in enumerate(retried(state)):
            yield case(f"{name} is retried, turn {turn}", rolls_back | {name: [*errors, *usual]}, **members)
        yield case(f"{name} hangs", rolls_back | {name: [HANGS]}, **members)
        if state["Resource"].endswith(".waitForTaskToken"):
            yield case(f"nobody answers {name}", rolls_back | {name: [SILENT]}, **members)
        yield case(f"{name} fails", rolls_back | {name: [FAILED]}, **members)
        if inside:
            yield case(f"{name} takes several turns", rolls_back | {name: [WAIT, WAIT, DONE]}, **members)


# Cases in which the interpreters differ: the States Language's clause that decides, and what our engine and the emulator's
# come to. All that is not listed has to be the same. The clauses are of https://states-language.net/spec.html; the engine's
# package comment and docs/limits.md tell the same.
DIFFERENT = {
    "an answer without the fields that are wanted": {
        # A ResultSelector's path finds nothing. The emulator's Catch of States.ALL takes the error, the specification's
        # execution ends. It names the error States.ParameterPathFailure; both interpreters call it States.Runtime, as
        # Step Functions does.
        "clause": "Payload Template: If the path is legal but cannot be applied successfully, the interpreter fails the machine "
                  "execution",
        "ours": {"status": "FAILED", "error": "States.Runtime"},
        "theirs": {"status": "SUCCEEDED", "error": None},
        "follows": ("cause", "output", "paths", "payloads"),
    },
}
for _name in ("the whole execution runs out of time", "the whole execution runs out of time inside a Map"):
    DIFFERENT[_name] = {
        # Both end it there. The emulator's end has no name.
        "clause": "Top-level fields, TimeoutSeconds: If the state machine runs longer than the specified time, then the "
                  "interpreter fails the machine with a States.Timeout Error Name",
        "ours": {"status": "TIMED_OUT", "error": "States.Timeout"},
        "theirs": {"status": "TIMED_OUT", "error": None},
        "follows": (),
    }


# The emulator's interpreter knows no virtual time. There, a task that is to time out has PATIENCE seconds instead of its own,
# an execution that is to has HASTE, and what hangs does so for HANG.
PATIENCE, HASTE, HANG = 3, 6, 9


def hasty(definition):
    return definition | {"TimeoutSeconds": HASTE}


# ---- The foreign interpreter. ----

class Scripted:
    """Answers the invocations of one execution."""

    def __init__(self, case, backend):
        self.results, self.backend = case["results"], backend
        self.lock, self.payloads = threading.Lock(), {}
        # A state of the definition "hasty" keeps its time: the execution's is over first.
        self.impatient = {state for state, results in case["results"].items()
                          if case["definition"] != "hasty" and (HANGS in results or SILENT in results)}

    def invoke(self, parameters):
        state, payload = parameters["FunctionName"], json.loads(parameters["Payload"])
        token = payload.get("token")
        if token:
            payload["token"] = "TOKEN"
        key = state + " " + "".join(json.dumps(payload[k]) for k in ("site", "artifact") if k in payload)
        with self.lock:
            seen = self.payloads.setdefault(key, [])
            seen.append(payload)
            scripted = self.results.get(state) or [{}]
            result = scripted[min(len(seen), len(scripted)) - 1]
        if result.get("hang"):
            time.sleep(HANG)
        if result.get("token"):
            self.settle(token, result["token"])
        if result.get("error", "").startswith("Lambda."):
            # Not the function's error but its invocation's: the API's answer, as botocore tells it.
            raise ClientError({"Error": {"Code": result["error"].removeprefix("Lambda."), "Message": result["cause"]},
                               "ResponseMetadata": {"HTTPStatusCode": 500, "RequestId": "request"}}, "Invoke")
        if "error" in result:
            message = {"errorMessage": result["cause"], "errorType": result["error"]}
            return {"FunctionError": "Unhandled", "Payload": message, "StatusCode": 200}
        return {"Payload": result.get("return", {}), "StatusCode": 200, "ExecutedVersion": "$LATEST"}

    def settle(self, token, settled):
        def send():
            for _ in range(100):
                try:
                    return answer()
                except AttributeError:  # moto looks at every execution, and one that is just being made has no state yet
                    time.sleep(0.1)
            return answer()

        def answer():
            if "error" in settled:
                self.backend.send_task_failure(token, settled["error"], settled["cause"])
            else:
                self.backend.send_task_success(token, json.dumps(settled["succeed"]))

        if settled.get("inside"):
            send()
        else:
            threading.Timer(1, send).start()


class Hurry:
    """What the interpreter has for time where it waits between retries."""

    @staticmethod
    def sleep(_):
        pass


class Foreign:
    """The emulator's interpreter, without the emulator around it."""

    def __init__(self, definitions):
        moto_plus.install()
        self.backend = stepfunctions_parser_backends[TOOLS][HOME]
        self.machines = {name: self.backend.create_state_machine(name, json.dumps(d), f"arn:aws:iam::{TOOLS}:role/r").arn
                         for name, d in definitions.items()}
        self.local = threading.local()
        self.scripts = {}
        moto_plus.lambda_tasks._invoke_lambda_function = self.invoke
        retrier_decl.time = Hurry
        TimeoutSeconds._eval_seconds = self.patience
        logging.disable(logging.CRITICAL)

    def invoke(self, parameters, region, state_credentials):
        return self.scripts[json.loads(parameters["Payload"])["execution"]].invoke(parameters)

    def patience(self, env):
        execution = env.states.context_object.context_object_data["Execution"]["Name"]
        return PATIENCE if env.next_state_name in self.scripts[execution].impatient else 3600

    def play(self, name, case):
        script = self.scripts[name] = Scripted(case, self.backend)
        execution = self.backend.start_execution(self.machines[case["definition"]], name, json.dumps(case["input"]))
        while execution.status == "RUNNING":
            time.sleep(0.02)
        return {
            "status": execution.status, "output": execution.output, "error": execution.error, "cause": execution.cause,
            "payloads": script.payloads, "paths": paths([foreign_event(e) for e in execution.to_history_output()["events"]]),
        }


def foreign_event(event):
    details = next((v for k, v in event.items() if k.endswith("EventDetails")), None) or {}
    return {"id": event["id"], "previous": event.get("previousEventId", 0), "type": str(getattr(event["type"], "value", event["type"])),
            "state": details.get("name"), "index": details.get("index", 0)}


def our_event(event):
    return {"id": event["id"], "previous": event["previousEventId"], "type": event["type"], "state": event.get("state"), "index": event.get("index", 0)}


def paths(events):
    """The states that were entered: of the execution, and of each iteration of each Map by itself, since iterations run
    side by side. Events are followed back to the event that began their track."""
    tracks, found, started = {0: ""}, {"": []}, {}
    for event in events:
        track = tracks.get(event["previous"], "")
        kind = event["type"]
        if kind == "MapStateEntered":
            started[event["state"]] = started.get(event["state"], 0) + 1
        if kind == "MapIterationStarted":
            track = f"{event['state']}#{started[event['state']]}[{event['index']}]"
        elif kind.startswith("MapIteration") or kind.startswith("MapState"):
            track = ""  # Maps are not nested
        tracks[event["id"]] = track
        if kind.endswith("StateEntered"):
            found.setdefault(track, []).append(event["state"])
    return found


# ---- The comparison. ----

def setUpModule():
    build()
    definition = definition_for_tests()
    definitions = {"shipped": definition, "hasty": hasty(definition)}
    cases = {case["name"]: case for case in cases_of(definition)}
    for case in cases.values():
        case["input"].setdefault("release", "r")
    Interpreters.cases = cases
    ours = subprocess.run([binary("aslrun")], input=json.dumps({"definitions": definitions, "cases": list(cases.values())}),
                          capture_output=True, text=True, check=False)
    if ours.returncode != 0:
        raise RuntimeError(ours.stderr)
    answer = json.loads(ours.stdout)
    Interpreters.ours, Interpreters.untaken = answer["outcomes"], answer["untaken"]
    foreign = Foreign(definitions)
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        names = {name: "case-%d" % number for number, name in enumerate(cases)}
        played = pool.map(lambda name: (name, foreign.play(names[name], cases[name])), cases)
        Interpreters.theirs = dict(played)
    Interpreters.names = names


class Interpreters(unittest.TestCase):
    maxDiff = 4000

    def test_both_take_the_same_path_to_the_same_end(self):
        for name in self.cases:
            with self.subTest(name):
                ours, theirs = self.normal_ours(name), self.normal_theirs(name)
                difference = DIFFERENT.get(name)
                if difference:
                    self.differ(ours, theirs, difference)
                    for field in (*difference["ours"], *difference["follows"]):
                        ours.pop(field), theirs.pop(field)
                self.assertEqual(ours, theirs)

    def differ(self, ours, theirs, difference):
        self.assertNotEqual(ours, theirs, "they agree by now: take it out of DIFFERENT")
        self.assertEqual({k: ours[k] for k in difference["ours"]}, difference["ours"], difference["clause"])
        self.assertEqual({k: theirs[k] for k in difference["theirs"]}, difference["theirs"], "the emulator has changed")

    def normal_ours(self, name):
        ours = self.ours[name]
        return {
            "status": ours["status"], "output": ours.get("output"), "error": ours.get("error"), "cause": ours.get("cause"),
            "paths": paths([our_event(e) for e in ours["events"]]),
            "payloads": normal_payloads(ours["payloads"]),
        }

    def normal_theirs(self, name):
        theirs = json.loads(json.dumps(self.theirs[name], default=str).replace('"%s"' % self.names[name], '"execution"'))
        theirs["payloads"] = normal_payloads(theirs["payloads"])
        return theirs

    def test_every_edge_was_taken(self):
        self.assertEqual(self.untaken, [])


def normal_payloads(payloads):
    """Each interpreter enters a state at a time of its own; that it is told as one is looked at here."""
    for payload in (payload for seen in payloads.values() for payload in seen if "entered" in payload):
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", payload["entered"]):
            raise AssertionError("EnteredTime is told as %r" % payload["entered"])
        payload["entered"] = "a time"
    return {normal_key(key): seen for key, seen in payloads.items()}


def normal_key(key):
    state, _, item = key.partition(" ")
    return state + " " + (json.dumps(json.loads(item), sort_keys=True) if item else "")


if __name__ == "__main__":
    unittest.main()
