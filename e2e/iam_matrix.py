#!/usr/bin/env python3
"""Takes each action out of each statement of each role, one at a time, and runs releases: one has to fail, or the action is
listed with the reason why the emulator cannot show its need. usage: iam_matrix.py [-n N] [ROLE …]

The reruns share one warm world; each has an application of its own. The result is a page for the docs, on standard output
and in .build/e2e/iam.md. An action that no rerun misses and that has no reason here, and a wildcard without one, is a
failure. -n takes the first N actions of each role only, to try it out.
"""
import argparse
import copy
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from checks import Scenario
from processes import BUILD
from world import DEV, EUROPE, HOME, App, World, layer_zip, until

# One environment in two regions: what a task does for the first site differs from what it does for others.
BOTH = {"name": "both", "account": DEV, "regions": [HOME, EUROPE], "role": "tagboat-target", "external_id": "tagboat-dev"}
ASKED = dict(BOTH, name="asked", regions=[HOME], approval="required")
BAKING = dict(BOTH, name="baking", regions=[HOME], bake="10s")
SITES = (("both", DEV, HOME), ("both", DEV, EUROPE))

# Actions whose need the emulator cannot show, and why.
UNSHOWN = {
    "logs:CreateLogStream": "Lambda itself writes the logs with the role; the Lambda host of the tests writes files",
    "logs:PutLogEvents": "as logs:CreateLogStream",
    "xray:PutTraceSegments": "Lambda and Step Functions themselves write the traces with the role; the tests record none",
    "xray:PutTelemetryRecords": "as xray:PutTraceSegments",
    "xray:GetSamplingRules": "as xray:PutTraceSegments",
    "xray:GetSamplingTargets": "as xray:PutTraceSegments",
    "sqs:SendMessage": "Lambda sends what a function failed at three times; no release does that",
    "lambda:GetProvisionedConcurrencyConfig": "the emulator has no provisioned concurrency: it answers 404 before it asks IAM",
}
for _role in ("stage", "update"):
    UNSHOWN[_role + " s3:GetObject"] = "finds out that an object is staged already; without it, it is written again"
for _role in ("stage", "manifest"):
    UNSHOWN[_role + " s3:ListBucket"] = "tells an object that is missing from one that is refused (S3 API reference, GetObject): other words, the same end"
for _action in ("s3:GetObject", "s3:PutObject"):
    UNSHOWN["rollback " + _action] = "the former code is staged from a version that keeps it, if the update died before it did that"
for _action in ("dynamodb:Query", "s3:GetObject", "sts:AssumeRole"):
    UNSHOWN["doctor " + _action] = "tagboat doctor invokes the function; no release does"
UNSHOWN["cloudwatch:DescribeAlarmHistory"] = "the emulator keeps no history of alarms"
UNSHOWN["dynamodb:DeleteItem"] = "drops entries of an index that no release needs; that it fails is noticed by nobody but the next sweep"
for _log in ("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries", "PutResourcePolicy",
             "DescribeResourcePolicies", "DescribeLogGroups"):
    UNSHOWN["logs:" + _log] = "Step Functions itself sets up its log delivery with the role; the emulator delivers no logs"

# Why a statement's resource has a wildcard, by its action.
WILDCARDS = {
    "logs:": "of log streams; log deliveries and resource policies have no resource (Service Authorization Reference)",
    "xray:": "traces have no resource (Service Authorization Reference)",
    "lambda:ListLayerVersions": "lists have no resource (Service Authorization Reference)",
    "lambda:ListFunctions": "lists have no resource (Service Authorization Reference)",
    "lambda:ListEventSourceMappings": "lists have no resource (Service Authorization Reference)",
    "lambda:InvokeFunction": "of versions of one function",
    "lambda:GetLayerVersion": "of layers, whose names are the applications', of any account for those that functions have already",
    "lambda:": "of functions and layers by the applications' names, which the registry decides; the session policy narrows each use to one application",
    "s3:": "of objects below one prefix",
    "sts:AssumeRole": "of one role's name in any account; the role's own trust decides",
    "states:": "of executions of one state machine",
    "cloudwatch:": "composite alarms are shown only to who may describe all (CloudWatch API reference, DescribeAlarms)",
}


class Missed(Scenario):
    """The scenarios, as methods that raise where a release does not go as it has to."""

    def runTest(self):
        raise NotImplementedError

    def tag(self, app):
        sha, (_, answer) = self.push(app, "1.0.0", app.files("1.0.0", "first"))
        self.assertEqual(answer["code"], "started")
        self.ends(answer["releases"][0], "SUCCEEDED", 60)
        self.check_live(app, SITES, "1.0.0", "first", 1)
        self.check_shared(app, HOME, 1)
        self.check_told(sha, app, "success", {"both": "success"})

    def again(self, app):
        """Three releases: the second has other dependencies, the third the same again."""
        for number, library in enumerate(("first", "second", "second")):
            version = f"1.{number}.0"
            _, (_, answer) = self.push(app, version, app.files(version, library))
            self.ends(answer["releases"][0], "SUCCEEDED", 60)
            self.check_live(app, SITES, version, library, 1 if library == "first" else 2)

    def next(self, app):
        """A release fails while the next one waits for its lease."""
        slow = "import time\n\n\ndef handler(event, context):\n    time.sleep(6)\n    raise RuntimeError('broken')\n"
        files = dict(app.files("1.0.0", "first"), **{app.name + "/src/app.py": slow})
        _, (_, first) = self.push(app, "1.0.0", files)
        _, (_, second) = self.push(app, "1.1.0", app.files("1.1.0", "first"))
        self.ends(first["releases"][0], "FAILED", 60)
        self.ends(second["releases"][0], "SUCCEEDED", 60)

    def unheard(self, app):
        _, release = self.missed(app, "1.0.0")
        self.ends(release, "SUCCEEDED", 60)

    def upload(self, app):
        sha = self.world.github.tag("unrelated-" + app.name, app.files("1.0.0", "first"))
        folder, s3 = f"artifacts/{app.name}/1.0.0/", self.world.aws.client("s3")
        s3.put_object(Bucket=self.world.uploads_bucket, Key=folder + "deps.zip", Body=layer_zip("first"))
        manifest = app.manifest(code=False, deps={"object": "deps.zip"}).encode()
        s3.put_object(Bucket=self.world.uploads_bucket, Key=folder + "tagboat.yaml", Body=manifest, Metadata={"commit": sha})
        self.started_by_itself(app)
        self.assertEqual([s["state"] for s in self.world.github.statuses(sha)][-1:], ["success"])

    def drop(self, app):
        self.world.aws.client("s3").put_object(Bucket=self.world.uploads_bucket, Key=f"drops/{app.name}/deps/1.0.0.zip", Body=layer_zip("first"))
        self.started_by_itself(app)

    def started_by_itself(self, app):
        release = until(lambda: (e := self.executions(app)) and e[0]["name"], 10, what="the release")
        self.ends(release, "SUCCEEDED", 60)
        self.assertEqual(self.layer_versions(app, HOME), [1])

    def broken(self, app):
        sha, (_, answer) = self.push(app, "1.0.0", app.files("1.0.0", "first", needs="NOWHERE"))
        ended = self.ends(answer["releases"][0], "FAILED", 60)
        self.assertEqual(ended["error"], "Tagboat.Clean")
        self.check_untouched(app, SITES)
        self.check_told(sha, app, "failure", {"both": "failure"})
        self.assertIn("smoke test", self.world.github.statuses(sha)[-1]["description"])
        shown = json.loads(self.world.command("show", answer["releases"][0], "--json").stdout)
        self.assertIn("See its log", shown["remedy"])

    def undone(self, app):
        """A version goes back to the one before while GitHub answers nothing: all comes from the state bucket."""
        self.tag(app)
        _, (_, answer) = self.push(app, "1.1.0", app.files("1.1.0", "second"))
        self.ends(answer["releases"][0], "SUCCEEDED", 60)
        self.world.github.call("POST", "outage", {"down": True})
        try:
            done = self.world.command("rollback", "--app", app.name, "--environment", "both")
        finally:
            self.world.github.call("POST", "outage", {"down": False})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_live(app, SITES, "1.0.0", "first", 1)

    def stopped(self, app):
        _, (_, answer) = self.push(app, "1.0.0", app.files("1.0.0", "first"))
        release = answer["releases"][0]
        until(lambda: self.entered(release, "AcquireLease"), 60, what="the lease")
        self.world.aws.client("stepfunctions").stop_execution(executionArn=self.execution(release)["executionArn"])
        until(lambda: len(self.executions(app)) == 2, 20, what="the recovery")
        self.ends(release + "-r1", "FAILED", 200)
        self.check_untouched(app, SITES)

    def asked(self, app):
        app.environments = ("asked",)
        self.world.put_registry()
        _, (_, answer) = self.push(app, "1.0.0", app.files("1.0.0", "first"))
        until(lambda: self.entered(answer["releases"][0], "RequestApproval"), 60, what="the question")
        self.assertEqual(self.state_of(answer["releases"][0]), "waiting_approval")

    def superseded(self, app):
        """Three releases of an app whose newer ones supersede: the first holds the lease for a minute, the second waits for it,
        and the third takes the place of the second."""
        app.settings["concurrency"] = "supersede"
        self.world.put_registry()
        releases = []
        for version, more in (("1.0.0", {"traffic": "Canary10Percent1Minutes"}), ("1.1.0", {}), ("1.2.0", {})):
            _, (_, answer) = self.push(app, version, app.files(version, version, **more))
            releases += answer["releases"]
            until(lambda: self.entered(releases[-1], "AcquireLease"), 60, what="the lease")
        self.ends(releases[1], "FAILED", 30)
        self.ends(releases[2], "SUCCEEDED", 150)

    def pruned(self, app):
        """Three releases of an app that keeps one version: of the first, nothing is left."""
        app.sharing, app.keep = {"organization": False}, {"keep": 1}
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            _, (_, answer) = self.push(app, version, app.files(version, version))
            self.ends(answer["releases"][0], "SUCCEEDED", 90)
        self.check_pruned(app, SITES)

    def rang(self, app):
        """A function without its alias gets one; an alarm rings while the release bakes, and the alias is deleted again."""
        app.environments = ("baking",)
        self.world.put_registry()
        functions, alarms = self.world.aws.client("lambda", DEV), self.world.aws.client("cloudwatch", DEV)
        functions.delete_alias(FunctionName=app.function, Name="live")
        alarm = {"AlarmName": app.name + "-errors", "Namespace": "e2e", "MetricName": "Errors", "EvaluationPeriods": 1, "Period": 60,
                 "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold", "Statistic": "Sum"}
        alarms.put_metric_alarm(**alarm)
        alarms.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="OK", StateReason="quiet")
        _, (_, answer) = self.push(app, "1.0.0", app.files("1.0.0", "first", alarms=[alarm["AlarmName"]]))
        until(lambda: self.entered(answer["releases"][0], "Bake"), 60, what="the bake time")
        self.assertEqual(self.answer_of(app, DEV, HOME), {"statusCode": 200, "version": "1.0.0", "library": "first"})
        alarms.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="it rings")
        ended = self.ends(answer["releases"][0], "FAILED", 120)
        self.assertEqual(ended["error"], "Tagboat.Clean")
        self.assertEqual(functions.list_aliases(FunctionName=app.function)["Aliases"], [])

    def state_of(self, release):
        item = lambda: self.world.aws.client("dynamodb").scan(TableName=self.world.table)["Items"]
        return until(lambda: next((i for i in item() if release in json.dumps(i) and "waiting_approval" in json.dumps(i)), None), 20,
                     what="the question") and "waiting_approval"

    def entered(self, release, state):
        history = self.world.aws.client("stepfunctions").get_execution_history(executionArn=self.execution(release)["executionArn"])["events"]
        return any(e.get("stateEnteredEventDetails", {}).get("name") == state for e in history)


# Which scenarios show what a role's actions are for; for the others, a tag is enough.
SCENARIOS = {
    "artifact": ["upload"], "manifest": ["tag", "drop", "upload", "undone"], "stage": ["tag", "drop", "upload", "undone"], "report": ["tag", "upload"], "rollback": ["broken"],
    "missed": ["unheard"], "conclude": ["tag", "broken", "next"], "recover": ["stopped"], "approval": ["asked"], "target": ["tag", "broken", "rang", "pruned"], "admit": ["tag", "upload"],
    "snapshot": ["tag", "again"], "publish": ["tag", "again"], "tally": ["tag", "broken"], "lease": ["tag", "superseded"], "update": ["tag", "broken"], "shift": ["tag", "rang"],
    "prune": ["pruned"],
}


class Matrix:
    def __init__(self, world):
        self.world, self.count = world, 0
        Scenario.world = world

    def app(self):
        """A fresh application, alone in the registry, with its functions."""
        self.count += 1
        app = App(f"m{self.count}", ("both",))
        self.world.apps[:] = [app]
        for _, account, region in SITES:
            self.world.create_function(app.function, account, region)
        self.world.put_registry()
        return app

    def failing(self, scenarios):
        """The first scenario that fails, with its reason; None if all go as they have to."""
        for name in scenarios:
            test, app = Missed(), self.app()
            try:
                getattr(test, name)(app)
            except Exception as problem:  # whatever shows it
                return name, str(problem).strip().splitlines()[0][:140]
        return None

    def roles(self):
        tools = [(r["RoleName"].removeprefix("tagboat-"), "tagboat-" + r["RoleName"].removeprefix("tagboat-"), None)
                 for r in self.world.aws.client("iam").list_roles()["Roles"] if r["RoleName"].startswith("tagboat-")]
        return [(short, name, self.world.aws.client("iam")) for short, name, _ in tools] + [
            ("target", "tagboat-target", self.world.aws.client("iam", DEV))]

    def try_role(self, short, name, iam, limit):
        policy_name = iam.list_role_policies(RoleName=name)["PolicyNames"][0]
        document = iam.get_role_policy(RoleName=name, PolicyName=policy_name)["PolicyDocument"]
        rows = []
        for i, statement in enumerate(document["Statement"]):
            for action in as_list(statement["Action"]):
                if limit is not None and len(rows) >= limit:
                    return rows
                rows.append(self.try_action(short, name, iam, policy_name, document, i, action))
        return rows

    def try_action(self, short, name, iam, policy_name, document, index, action):
        resources = as_list(document["Statement"][index]["Resource"])
        reason = UNSHOWN.get(action) or UNSHOWN.get(f"{short} {action}")
        if reason:
            return short, index, action, resources, "not shown", reason
        without = copy.deepcopy(document)
        statement = without["Statement"][index]
        statement["Action"] = [a for a in as_list(statement["Action"]) if a != action]
        if not statement["Action"]:
            del without["Statement"][index]
        began, since = time.monotonic(), os.path.getsize(self.world.iam_log)
        iam.put_role_policy(RoleName=name, PolicyName=policy_name, PolicyDocument=json.dumps(without))
        self.world.cold()  # what a warm function has read before, it would not ask for again
        try:
            shown = self.failing(SCENARIOS.get(short, ["tag"]))
        finally:
            iam.put_role_policy(RoleName=name, PolicyName=policy_name, PolicyDocument=json.dumps(document))
        verdict = ("UNEXPLAINED", "every scenario goes on without it")
        if shown:
            verdict = ("needed", shown[0]) if self.denied(since, name, action) else ("UNEXPLAINED", f"{shown[0]} fails of something else: {shown[1]}")
        print(f"{time.monotonic() - began:6.1f} s  {short} {action}: {verdict[0]} ({verdict[1]})", file=sys.stderr, flush=True)
        return (short, index, action, resources, *verdict)


    def denied(self, since, role, action):
        """Whether IAM has denied a role an action since an offset of its log: what failed could be something else."""
        with open(self.world.iam_log, encoding="utf-8") as log:
            log.seek(since)
            decisions = [json.loads(line) for line in log]
        return any(not d["allowed"] and d["action"] == action and f"/{role}" in d["who"] for d in decisions)


def as_list(value):
    return value if isinstance(value, list) else [value]


def wildcard_reason(action):
    return next((WILDCARDS[key] for key in sorted(WILDCARDS, key=len, reverse=True) if action.startswith(key)), None)


def page(rows):
    """Two tables: what each action is for, and why resources have wildcards."""
    lines = ["| role | action | of | without it |", "|---|---|---|---|"]
    for short, _, action, resources, verdict, reason in rows:
        if verdict != "not shown":
            lines.append(f"| {short} | `{action}` | {told(resources)} | {'a release fails (' + reason + ')' if verdict == 'needed' else 'UNEXPLAINED: ' + reason} |")
    lines += ["", "| not shown by the emulator | why |", "|---|---|"]
    lines += sorted({f"| `{action}` | {reason} |" for _, _, action, _, verdict, reason in rows if verdict == "not shown"})
    lines += ["", "| wildcard | roles | why |", "|---|---|---|"]
    wild = {}
    for short, _, action, resources, _, _ in rows:
        for resource in resources:
            if "*" in resource.replace(":log-group:", "") and not action.startswith(("logs:", "xray:")):
                wild.setdefault((resource, wildcard_reason(action) or "UNEXPLAINED"), set()).add(short)
    lines += [f"| `{resource}` | {', '.join(sorted(roles))} | {why} |" for (resource, why), roles in sorted(wild.items())]
    lines.append(f"| `*` and log streams, for logs and traces | all | {WILDCARDS['logs:']}; {WILDCARDS['xray:']} |")
    return "\n".join(lines) + "\n"


def told(resources):
    return ", ".join(f"`{r.split(':', 5)[-1] if r != '*' else '*'}`" for r in resources)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, help="actions of each role")
    parser.add_argument("roles", nargs="*")
    arguments = parser.parse_args()
    world = World("iam", [], [BOTH, ASKED, BAKING], functions="m*")
    try:
        matrix = Matrix(world)
        everything = sorted({s for names in SCENARIOS.values() for s in names} | {"tag"})
        sound = matrix.failing([s for s in everything if not arguments.roles or s != "stopped"])
        if sound:
            sys.exit(f"with all rights, {sound[0]} fails: {sound[1]}")
        rows = []
        for short, name, iam in matrix.roles():
            if not arguments.roles or short in arguments.roles:
                rows += matrix.try_role(short, name, iam, arguments.n)
    finally:
        world.close()
    text = page(rows)
    with open(os.path.join(BUILD, "iam.md"), "w", encoding="utf-8") as file:
        file.write(text)
    print(text)
    sys.exit(1 if "UNEXPLAINED" in text else 0)


if __name__ == "__main__":
    main()
