#!/usr/bin/env python3
"""Takes each action out of each statement of each role, one at a time, and runs releases: one has to fail, or the action is
listed with the reason why the emulator cannot show its need. usage: iam_matrix.py [-j N] [-n N] [--resume] [-t MINUTES] [ROLE …]

The reruns share a few warm worlds; each has an application of its own. First all scenarios have to go well with all
rights, and without a denial. The result is docs/permissions.md, which a complete run brings up to date; each row
is also a line of .build/e2e/iam.jsonl as soon as it is known, which --resume takes over. An action that no rerun misses
and that has no reason here, and a wildcard without one, is a failure. -n takes the first N actions of each role only, to
try it out; -t tries no more after a time (-t 0: nothing), and lists what is left as not tried: a failure, too.
"""
import argparse
import contextlib
import copy
import json
import multiprocessing
import multiprocessing.util
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from checks import Scenario
from processes import BUILD, ROOT
from world import DEV, EUROPE, HOME, STACK, TOOLS, App, Patience, World, layer_zip, until

# One environment in two regions: what a task does for the first site differs from what it does for others.
BOTH = {"name": "both", "account": DEV, "regions": [HOME, EUROPE], "role": "tagboat-target", "external_id": "tagboat-dev"}
ASKED = dict(BOTH, name="asked", regions=[HOME], approval="required")
BAKING = dict(BOTH, name="baking", regions=[HOME], bake="10s")
SITES = (("both", DEV, HOME), ("both", DEV, EUROPE))
# How long a scenario waits for anything, in seconds, as long as nothing was denied.
WAIT = 120

# Actions whose need the emulator cannot show, and why.
UNSHOWN = {
    "logs:CreateLogStream": "Lambda itself writes the logs with the role; the Lambda host of the tests writes files",
    "logs:PutLogEvents": "as logs:CreateLogStream",
    "xray:PutTraceSegments": "Lambda and Step Functions themselves write the traces with the role; the tests record none",
    "xray:PutTelemetryRecords": "as xray:PutTraceSegments",
    "xray:GetSamplingRules": "as xray:PutTraceSegments",
    "xray:GetSamplingTargets": "as xray:PutTraceSegments",
    "stage s3:ListBucket": "for an upload that is deleted between two tasks, which no scenario can time: `TestADropThatIsDeletedOnItsWayIsGone`",
    "approval states:SendTaskSuccess": "for a question that is asked again after its answer was recorded, which no scenario can time: "
                                       "`TestAnAnswerIsDeliveredToTheQuestionThatIsAskedAgain`",
    "approval states:SendTaskFailure": "as approval states:SendTaskSuccess",
    "conclude s3:GetObjectVersion": "for an environment whose closing task dies at its last writes, which no scenario can time: "
                                    "`TestNothingEndsBeforeWhatIsLiveIsRecorded`",
    "rollback s3:GetObject": "for former code that is staged no more when it is put back, which no scenario can time: "
                             "`TestCodeThatIsNotStagedIsTakenFromTheLiveVersion`",
    "rollback s3:PutObject": "as rollback s3:GetObject",
    "cloudwatch:DescribeAlarmHistory": "the emulator keeps no history of alarms: `TestAlarms`",
    "lambda:GetProvisionedConcurrencyConfig": "the emulator has no provisioned concurrency: it answers 404 before it asks IAM",
}
for _log in ("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries", "PutResourcePolicy",
             "DescribeResourcePolicies", "DescribeLogGroups"):
    UNSHOWN["logs:" + _log] = "Step Functions itself sets up its log delivery with the role; the emulator delivers no logs"

# Actions that a scenario asks for while its release goes on without: it fails since it is denied something. What would be
# lost, by role and action.
NOTICED = {
    "update s3:GetObject": "code that is kept already would be written again",
    "stage s3:GetObject": "what is staged already would be written again",
}

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
        self.ends(answer["releases"][0], "SUCCEEDED", WAIT)
        self.check_live(app, SITES, "1.0.0", "first", 1)
        self.check_shared(app, HOME, 1, SITES)
        self.check_told(sha, app, "success", {"both": "success"})
        self.check_settled(answer["releases"][0])
        return sha, answer["releases"][0]

    def told(self, app):
        """As an App, GitHub also gets a check run; the event bus hears of it all."""
        sha, release = self.tag(app)
        [run] = self.world.github.checks(sha)
        self.assertEqual((run["status"], run["conclusion"]), ("completed", "success"), run)
        self.assertIn("both", run["output"]["summary"])
        self.hears(release, {"Tagboat Environment Started", "Tagboat Environment Released", "Tagboat Release Ended"})

    def hears(self, release, wanted):
        """Waits until the event bus has told all kinds that are wanted of a release."""
        queue, kinds = self.world.aws.client("sqs"), set()

        def told():
            for message in queue.receive_message(QueueUrl=self.world.outcomes, MaxNumberOfMessages=10).get("Messages", []):
                queue.delete_message(QueueUrl=self.world.outcomes, ReceiptHandle=message["ReceiptHandle"])
                event = json.loads(message["Body"])
                if event["detail"]["release"] == release:
                    kinds.add(event["detail-type"])
            return kinds >= wanted
        until(told, WAIT, what="the events")

    def told_again(self, app):
        """Some minutes after its end, a release is told once more, and then no more."""
        _, release = self.tag(app)
        with self.document("release/" + release, "record") as record:
            record["ended"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
        self.invoke("report", {"do": "watch"})
        self.assertFalse(self.listed("untold", release))

    def listed(self, partition, release):
        """Whether a release is on a list of the ledger."""
        key = {"pk": {"S": partition}, "sk": {"S": release}}
        return "Item" in self.world.aws.client("dynamodb").get_item(TableName=self.world.table, Key=key)

    def again(self, app):
        """Three releases: the second has other dependencies, the third the same again."""
        for number, library in enumerate(("first", "second", "second")):
            version = f"1.{number}.0"
            _, (_, answer) = self.push(app, version, app.files(version, library))
            self.ends(answer["releases"][0], "SUCCEEDED", WAIT)
            self.check_live(app, SITES, version, library, 1 if library == "first" else 2)
        staged = self.world.aws.client("s3").list_object_versions(Bucket=self.world.state_bucket, Prefix=f"staged/{app.name}/")["Versions"]
        self.assertEqual(len({v["Key"] for v in staged}), len(staged), "nothing is staged twice")

    def next(self, app):
        """A release fails while the next one waits for its lease."""
        slow = "import time\n\n\ndef handler(event, context):\n    time.sleep(6)\n    raise RuntimeError('broken')\n"
        files = dict(app.files("1.0.0", "first"), **{app.name + "/src/app.py": slow})
        _, (_, first) = self.push(app, "1.0.0", files)
        _, (_, second) = self.push(app, "1.1.0", app.files("1.1.0", "first"))
        self.ends(first["releases"][0], "FAILED", WAIT)
        self.ends(second["releases"][0], "SUCCEEDED", WAIT)

    def overlooked(self, app):
        """An upload whose event is lost is found by a look, which goes through everything else, too."""
        self.ends(self.missed_upload(app, "1.0.0"), "SUCCEEDED", WAIT)

    def unannounced(self, app):
        """A tag without a webhook is found among those that are known."""
        self.missed(app, "1.0.0")

    def vanished(self, app):
        """An upload that is deleted before its release reads it: its end says that it is gone, not that it may not be read."""
        s3, key = self.world.aws.client("s3"), f"artifacts/{app.name}/1.0.0/tagboat.yaml"
        made = s3.put_object(Bucket=self.world.uploads_bucket, Key=key, Body=app.manifest(code=False, deps={"object": "deps.zip"}).encode())
        s3.delete_object(Bucket=self.world.uploads_bucket, Key=key, VersionId=made["VersionId"])
        release = until(lambda: (e := self.executions(app)) and e[0]["name"], WAIT, what="the release")
        self.ends(release, "FAILED", WAIT)
        with self.document("release/" + release, "record") as record:
            self.assertNotIn("denied", record["error"].lower())

    def given_up(self, app, role, event):
        """What a function fails at three times is in its queue of dead letters: the role lacks something else for a while."""
        queue, name = self.world.aws.client("sqs"), f"{STACK}-{role}-dead-letters"
        url = queue.get_queue_url(QueueName=name)["QueueUrl"]
        with self.without(role, "dynamodb:GetItem"):
            event()
            until(lambda: any(app.name in m["Body"] for m in queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])), WAIT,
                  what="the dead letter")

    @contextlib.contextmanager
    def without(self, role, action):
        """Takes an action away from a role meanwhile."""
        iam, name = self.world.aws.client("iam"), f"{STACK}-{role}"
        [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
        before = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        less = copy.deepcopy(before)
        for statement in less["Statement"]:
            statement["Action"] = [a for a in as_list(statement["Action"]) if a != action]
        less["Statement"] = [statement for statement in less["Statement"] if statement["Action"]]
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(less))
        try:
            yield
        finally:
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(before))

    def refused_upload(self, app):
        """An upload that the function fails at."""
        drop = {"Bucket": self.world.uploads_bucket, "Key": f"drops/{app.name}/deps/1.0.0.zip", "Body": layer_zip("first")}
        self.given_up(app, "artifact", lambda: self.world.aws.client("s3").put_object(**drop))

    def refused_end(self, app):
        """The end of an execution that the function fails at."""
        self.given_up(app, "recover", lambda: self.stop(app, "1.0.0"))

    def sweeps(self, app):
        """What others left who died on the way: an ended release on the list of those to look after, the lease with a release that
        has ended, and one that was halted while it waits."""
        _, ended = self.tag(app)
        self.leave_active(ended)
        with self.document("lease", self.lease_of(app)) as lease:
            lease.update(holder={"release": ended, "execution": ended}, since="2026-01-01T00:00:00Z", expires="2099-01-01T00:00:00Z")
        _, (_, answer) = self.push(app, "1.1.0", app.files("1.1.0", "first"))
        self.waits_for_lease(app, answer["releases"][0])
        self.assertGreaterEqual(self.invoke("recover")["handed_on"], 1)
        self.ends(answer["releases"][0], "SUCCEEDED", WAIT)
        self.check_settled(ended)
        self.halted(app)

    def leave_active(self, ended):
        """Puts an ended release back on the list of those that have not: its last task died before it took it off."""
        self.world.aws.client("dynamodb").put_item(TableName=self.world.table, Item={
            "pk": {"S": "active"}, "sk": {"S": ended}, "version": {"N": "1"}, "write": {"S": "e2e"}, "body": {"S": json.dumps({"id": ended})}})

    def taken_off_in_queue(self, app):
        """Who supersedes others takes what has ended off the list of those that have not."""
        app.settings["concurrency"] = "supersede"
        self.world.put_registry()
        self.taken_off(app, "1.1.0")

    def taken_off_by_pruning(self, app):
        """So does who asks what others need."""
        app.sharing, app.keep = {"organization": False}, {"keep": 1}
        self.taken_off(app, "1.1.0", "1.2.0")

    def taken_off(self, app, *versions):
        _, (_, answer) = self.push(app, "1.0.0", app.files("1.0.0", "1.0.0"))
        ended = answer["releases"][0]
        self.ends(ended, "SUCCEEDED", WAIT)
        self.leave_active(ended)
        for version in versions:
            _, (_, answer) = self.push(app, version, app.files(version, version))
            self.ends(answer["releases"][0], "SUCCEEDED", WAIT)
        self.assertFalse(self.listed("active", ended))

    def halted(self, app):
        app.environments = ("asked",)
        self.world.put_registry()
        _, (_, answer) = self.push(app, "1.2.0", app.files("1.2.0", "first"))
        release = answer["releases"][0]
        until(lambda: self.state_of(release) == "waiting_approval", WAIT, what="the question")
        with self.document("release/" + release, "record") as record:
            record["halted"] = {"by": "carol", "reason": "wrong build", "at": "2026-01-01T00:00:00Z"}
        self.invoke("recover")
        self.ends(release, "FAILED", WAIT)

    def lease_of(self, app):
        found = self.world.aws.client("dynamodb").query(TableName=self.world.table, KeyConditionExpression="pk = :pk",
                                                        ExpressionAttributeValues={":pk": {"S": "lease"}})["Items"]
        return next(item["sk"]["S"] for item in found if app.name + "/" in item["sk"]["S"] or app.name + "%2F" in item["sk"]["S"])

    def waits_for_lease(self, app, release):
        def waits():
            with self.document("lease", self.lease_of(app)) as lease:
                return any(w["release"] == release for w in lease.get("waiters", []))
        until(waits, WAIT, what="its place in the queue")

    def doctored(self, app):
        """The look from inside: the roles of the environments, and what was released there."""
        self.tag(app)
        answer = self.invoke("doctor")
        self.assertEqual([f for f in answer if f["state"] in ("failed", "not_checked") and not f.get("object", "").startswith("orders")], [])
        checked = {f["check"] for f in answer if app.name in f.get("object", "") and f["state"] == "ok"}
        self.assertLessEqual({"function", "layer", "staged code"}, checked)

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
        release = until(lambda: (e := self.executions(app)) and e[0]["name"], WAIT, what="the release")
        self.ends(release, "SUCCEEDED", WAIT)
        self.assertEqual(self.layer_versions(app, HOME), [1])

    def broken(self, app):
        sha, (_, answer) = self.push(app, "1.0.0", app.files("1.0.0", "first", needs="NOWHERE"))
        ended = self.ends(answer["releases"][0], "FAILED", WAIT)
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
        self.ends(answer["releases"][0], "SUCCEEDED", WAIT)
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
        until(lambda: self.entered(release, "AcquireLease"), WAIT, what="the lease")
        self.world.aws.client("stepfunctions").stop_execution(executionArn=self.execution(release)["executionArn"])
        until(lambda: len(self.executions(app)) == 2, WAIT, what="the recovery")
        self.ends(release + "-r1", "FAILED", 2 * WAIT)
        self.check_untouched(app, SITES)

    def asked(self, app):
        app.environments = ("asked",)
        self.world.put_registry()
        _, (_, answer) = self.push(app, "1.0.0", app.files("1.0.0", "first"))
        until(lambda: self.entered(answer["releases"][0], "RequestApproval"), WAIT, what="the question")
        self.waits(answer["releases"][0])
        self.hears(answer["releases"][0], {"Tagboat Approval Asked"})

    def superseded(self, app):
        """Three releases of an app whose newer ones supersede: the first holds the lease for a minute, the second waits for it,
        and the third takes the place of the second."""
        app.settings["concurrency"] = "supersede"
        self.world.put_registry()
        releases = []
        for version, more in (("1.0.0", {"traffic": "Canary10Percent1Minutes"}), ("1.1.0", {}), ("1.2.0", {})):
            _, (_, answer) = self.push(app, version, app.files(version, version, **more))
            releases += answer["releases"]
            until(lambda: self.entered(releases[-1], "AcquireLease"), WAIT, what="the lease")
        self.ends(releases[1], "FAILED", WAIT)
        self.ends(releases[2], "SUCCEEDED", WAIT)

    def pruned(self, app):
        """Three releases of an app that keeps one version: of the first, nothing is left."""
        app.sharing, app.keep = {"organization": False}, {"keep": 1}
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            _, (_, answer) = self.push(app, version, app.files(version, version))
            self.ends(answer["releases"][0], "SUCCEEDED", WAIT)
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
        until(lambda: self.entered(answer["releases"][0], "Bake"), WAIT, what="the bake time")
        self.assertEqual(self.answer_of(app, DEV, HOME), {"statusCode": 200, "version": "1.0.0", "library": "first"})
        alarms.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="it rings")
        ended = self.ends(answer["releases"][0], "FAILED", WAIT)
        self.assertEqual(ended["error"], "Tagboat.Clean")
        self.assertEqual(functions.list_aliases(FunctionName=app.function)["Aliases"], [])


# Which scenarios show what a role's actions are for, the quickest first; for the others, a tag is enough.
SCENARIOS = {
    "artifact": ["upload", "refused_upload"], "manifest": ["tag", "drop", "upload", "undone", "vanished"], "stage": ["tag", "drop", "upload", "undone", "again"],
    "report": ["told", "upload", "told_again"], "rollback": ["broken"], "missed": ["overlooked", "unannounced"], "doctor": ["doctored"], "conclude": ["tag", "broken", "next"],
    "recover": ["sweeps", "stopped", "refused_end"], "approval": ["asked"], "target": ["tag", "broken", "rang", "pruned"], "admit": ["tag", "upload"],
    "snapshot": ["tag", "again"], "publish": ["tag", "again"], "tally": ["tag", "broken"], "lease": ["tag", "superseded", "stopped", "taken_off_in_queue"],
    "update": ["tag", "broken"], "shift": ["tag", "rang"], "prune": ["pruned", "taken_off_by_pruning"],
}
# Some actions are shown by another scenario first.
FIRST = {
    "manifest s3:ListBucket": "vanished", "manifest s3:GetObject": "drop", "artifact sqs:SendMessage": "refused_upload", "recover sqs:SendMessage": "refused_end",
    "recover states:StartExecution": "stopped", "stage s3:GetObject": "again", "stage s3:ListBucketVersions": "upload", "missed dynamodb:Query": "unannounced",
    "report dynamodb:DeleteItem": "told_again", "lease dynamodb:DeleteItem": "taken_off_in_queue", "prune dynamodb:DeleteItem": "taken_off_by_pruning",
    "conclude states:SendTaskSuccess": "next", "lease states:SendTaskSuccess": "superseded", "lease states:SendTaskFailure": "superseded",
    **{"target " + action: "pruned" for action in ("lambda:DeleteFunction", "lambda:GetFunctionEventInvokeConfig", "lambda:GetPolicy", "lambda:ListFunctions",
                                                   "lambda:ListEventSourceMappings", "lambda:ListAliases", "lambda:ListVersionsByFunction")},
    **{"target " + action: "rang" for action in ("cloudwatch:DescribeAlarms", "lambda:CreateAlias", "lambda:DeleteAlias")},
}
# These provoke denials themselves.
PROVOKING = ("refused_upload", "refused_end")


class Matrix:
    """A world in which one scenario runs after the other."""

    def __init__(self, name):
        self.name, self.count = name, 0
        self.world = Scenario.world = World("iam-" + name, [], [BOTH, ASKED, BAKING], functions="m*", github_app=True, hasty=True)
        self.world.outcomes = self.world.aws.client("sqs").create_queue(QueueName="outcomes", Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
        events = self.world.aws.client("events")
        events.put_rule(Name="outcomes", EventPattern=json.dumps({"source": ["tagboat"]}))
        events.put_targets(Rule="outcomes", Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{HOME}:{TOOLS}:outcomes"}])

    def app(self):
        """A fresh application, alone in the registry, with its functions."""
        self.count += 1
        app = App(f"m{self.count}", ("both",))
        self.world.apps[:] = [app]
        for _, account, region in SITES:
            self.world.create_function(app.function, account, region)
        self.world.put_registry()
        return app

    def run(self, scenario):
        """Why a scenario fails; None if all goes as it has to."""
        test, app = Missed(), self.app()
        try:
            getattr(test, scenario)(app)
        except Exception as problem:  # whatever shows it
            return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:140]
        return None

    def sound(self, scenario):
        """Why a scenario fails with all rights; None if it does not, and nothing is denied."""
        since = os.path.getsize(self.world.iam_log)
        problem = self.run(scenario)
        unexpected = [] if scenario in PROVOKING else self.world.unexpected(since)
        return problem or "; ".join(unexpected) or None

    def policy(self, role):
        """The client, the name of the role and of its policy, and the policy."""
        iam, name = self.world.aws.client("iam", DEV if role == "target" else TOOLS), f"{STACK}-{role}"
        [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
        return iam, name, policy, iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]

    def row(self, role, index, action):
        """What becomes of releases without an action of a statement."""
        iam, name, policy, document = self.policy(role)
        reduced = copy.deepcopy(document)
        statement = reduced["Statement"][index]
        statement["Action"] = [a for a in as_list(statement["Action"]) if a != action]
        if not statement["Action"]:
            del reduced["Statement"][index]
        since = os.path.getsize(self.world.iam_log)
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(reduced))
        self.world.cold(f"{STACK}-{role}")  # what a warm function has read before, it would not ask for again
        Patience.lost = lambda: self.denied(since, name, action)
        try:
            return self.verdict(role, action, lambda: self.denied(since, name, action))
        finally:
            Patience.lost = lambda: False
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))

    def verdict(self, role, action, denied):
        scenarios = SCENARIOS.get(role, ["tag"])
        first = FIRST.get(f"{role} {action}")
        noticed = None
        for scenario in [first] * (first is not None) + [s for s in scenarios if s != first]:
            problem = self.run(scenario)
            if problem and denied():
                return "needed", scenario
            if problem:
                return "UNEXPLAINED", f"{scenario} fails of something else: {problem}"
            if denied() and scenario not in PROVOKING:
                noticed = noticed or scenario
                if f"{role} {action}" in NOTICED:
                    break
        if noticed:
            lost = NOTICED.get(f"{role} {action}")
            return ("noticed", f"{noticed}: {lost}") if lost else ("UNEXPLAINED", f"{noticed} is denied it and goes on")
        return "UNEXPLAINED", "every scenario goes on without it"

    def denied(self, since, role, action):
        """Whether IAM has denied a role an action since an offset of its log: what failed could be something else."""
        return any(not d["allowed"] and d["action"] == action and f"/{role}/" in d["who"] for d in self.world.decisions(since))


def as_list(value):
    return value if isinstance(value, list) else [value]


# ---- Workers, each with a world. ----

_matrix = None


def begin(counter):
    global _matrix
    with counter.get_lock():
        counter.value += 1
        name = str(counter.value)
    _matrix = Matrix(name)
    multiprocessing.util.Finalize(None, _matrix.world.close, exitpriority=10)


def work(task):
    began = time.monotonic()
    if task[0] == "sound":
        answer = (*task, _matrix.sound(task[1]))
    else:
        role, index, action, resources = task
        answer = (role, index, action, resources, *_matrix.row(role, index, action))
    print(f"{time.monotonic() - began:6.1f} s  {' '.join(map(str, task[:3]))}: {' '.join(map(str, answer[len(task):]))}", file=sys.stderr, flush=True)
    return answer


def statements():
    """Role, number of the statement, action and resources, of both templates, as a stack has them."""
    import samx
    from cloudformation import Stack
    parameters = {"WebhookSecretArn": "${webhook secret}", "GitHubSecretArn": "${GitHub secret}", "TargetAccounts": "", "OrganizationId": "",
                  "ToolsAccount": TOOLS, "ExternalId": "x", "FunctionNames": "<functions>"}
    for path, account in (("template.yaml", TOOLS), ("iam/target-account.yaml", DEV)):
        template = samx.plain(os.path.join(ROOT, path))
        stack = Stack(template, STACK, account, HOME, None, {k: v for k, v in parameters.items() if k in template["Parameters"]})
        stack.fn_getatt = lambda argument: ".".join(argument) if isinstance(argument, list) else argument
        for resource in template["Resources"].values():
            if resource["Type"] != "AWS::IAM::Role":
                continue
            role = stack.resolve(resource["Properties"]["RoleName"]).removeprefix(STACK + "-")
            [policy] = resource["Properties"]["Policies"]
            for index, statement in enumerate(policy["PolicyDocument"]["Statement"]):
                for action in as_list(statement["Action"]):
                    yield role, index, action, [plain(r) for r in as_list(stack.resolve(statement["Resource"]))]


def plain(resource):
    """A resource without what is the same for all."""
    for text, name in ((f"{STACK}-state-{TOOLS}-{HOME}", "<state bucket>"), ("StateBucket.Arn", "<state bucket>"), ("UploadsBucket.Arn", "<uploads bucket>"),
                       ("Ledger.Arn", "<table>"), (TOOLS, "<tools>"), (f"{STACK}-", "<stack>-"), (HOME, "<region>")):
        resource = resource.replace(text, name)
    return resource.replace("arn:aws:s3:::", "").replace("arn:aws:", "")


# ---- The page. ----

BEGIN, END = "<!-- made by make e2e-iam -->", "<!-- end of what make e2e-iam makes -->"
PAGE = os.path.join(ROOT, "docs", "permissions.md")


def wildcard_reason(action):
    return next((WILDCARDS[key] for key in sorted(WILDCARDS, key=len, reverse=True) if action.startswith(key)), None)


WORDS = {"needed": "fails: ", "noticed": "is denied in ", "not shown": "not shown", "not tried": "not tried", "UNEXPLAINED": "UNEXPLAINED: "}


def page(rows):
    """Three tables: what each action is for, what the emulator cannot show, and why resources have wildcards."""
    counted = {verdict: sum(row[4] == verdict for row in rows) for verdict in WORDS}
    lines = [f"{len(rows)} actions in the statements of {len({row[0] for row in rows})} roles. Without {counted['needed']} of them a scenario does not end as it "
             f"has to; {counted['noticed']} more are asked for, and a scenario fails since it is denied; {counted['not shown']} the emulator cannot show."
             + (f" {counted['not tried']} were not tried." if counted["not tried"] else ""), "",
             "| role | action | of | without it |", "|---|---|---|---|"]
    for role, _, action, resources, verdict, reason in rows:
        told = ", ".join(f"`{r}`" for r in resources) if len(resources) < 5 else f"versions of {len(resources)} functions"
        lines.append(f"| {role} | `{action}` | {told} | {WORDS[verdict]}{'' if verdict == 'not shown' else reason} |")
    lines += ["", "| not shown by the emulator | why |", "|---|---|"]
    lines += sorted({f"| {of_role(row)}`{row[2]}` | {row[5]} |" for row in rows if row[4] == "not shown"})
    lines += ["", "| wildcard | roles | why |", "|---|---|---|"]
    wild = {}
    for role, _, action, resources, _, _ in rows:
        for resource in resources:
            if "*" in resource:
                wild.setdefault((resource, wildcard_reason(action) or "UNEXPLAINED"), set()).add(role)
    lines += [f"| `{resource}` | {', '.join(sorted(roles)) if len(roles) < 20 else 'all'} | {why} |" for (resource, why), roles in sorted(wild.items())]
    return "\n".join(lines) + "\n"


def put_page(text):
    with open(PAGE, encoding="utf-8") as file:
        before = file.read()
    start, end = before.index(BEGIN) + len(BEGIN), before.index(END)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(before[:start] + "\n" + text + before[end:])


KEPT = os.path.join(BUILD, "iam.jsonl")


def judge(tasks, workers, until_when):
    """Yields the rows of tasks as soon as they are known."""
    with multiprocessing.get_context("fork").Pool(workers, begin, [multiprocessing.Value("i", 0)]) as pool:
        scenarios = sorted({s for role in {t[0] for t in tasks} for s in SCENARIOS.get(role, ["tag"])})
        problems = [f"{scenario}: {problem}" for _, scenario, problem in pool.imap_unordered(work, [("sound", s) for s in scenarios]) if problem]
        if problems:
            sys.exit("with all rights, these fail:\n" + "\n".join(problems))
        left = list(reversed(tasks))
        running = []
        while left or running:
            while left and len(running) < workers and time.monotonic() < until_when:
                running.append(pool.apply_async(work, [left.pop()]))
            if not running:
                break
            for done in [r for r in running if r.ready()]:
                running.remove(done)
                yield done.get()
            time.sleep(0.2)
        pool.close()
        pool.join()


def kept():
    """The rows of earlier runs that explain themselves, by role, statement and action."""
    if not os.path.exists(KEPT):
        return {}
    with open(KEPT, encoding="utf-8") as file:
        rows = [tuple(json.loads(line)) for line in file]
    return {row[:3]: row for row in rows if row[4] != "UNEXPLAINED"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-j", type=int, default=2, help="worlds at a time")
    parser.add_argument("-n", type=int, help="actions of each role")
    parser.add_argument("-t", type=float, default=1e6, help="minutes after which no more is tried")
    parser.add_argument("--resume", action="store_true", help="take over what earlier runs found")
    parser.add_argument("roles", nargs="*")
    arguments = parser.parse_args()
    began, everything, tasks = time.monotonic(), list(statements()), []
    rows = {s[:3]: row for s in everything if (row := kept().get(s[:3])) and row[3] == s[3]} if arguments.resume else {}
    for role, index, action, resources in everything:
        wanted = (not arguments.roles or role in arguments.roles) and (role, index, action) not in rows
        if wanted and not unshown(role, action) and (arguments.n is None or sum(t[0] == role for t in tasks) < arguments.n):
            tasks.append((role, index, action, resources))
    with open(KEPT, "a" if arguments.resume else "w", encoding="utf-8") as file:
        for row in judge(tasks, arguments.j, began + 60 * arguments.t) if tasks and arguments.t else ():
            rows[row[:3]] = row
            file.write(json.dumps(row) + "\n")
            file.flush()
    complete = [(*s, "not shown", unshown(s[0], s[2])) if unshown(s[0], s[2]) else
                (*s, *rows[s[:3]][4:]) if s[:3] in rows else (*s, "not tried", "") for s in everything]
    text = page(complete)
    print(text)
    if not arguments.roles and arguments.n is None:
        put_page(text)
    if any(row[4] in ("UNEXPLAINED", "not tried") for row in complete) or "UNEXPLAINED" in text:
        sys.exit("some actions or wildcards are not explained, or were not tried")


def of_role(row):
    return f"{row[0]} " if f"{row[0]} {row[2]}" in UNSHOWN else ""


def unshown(role, action):
    return UNSHOWN.get(f"{role} {action}") or UNSHOWN.get(action)


if __name__ == "__main__":
    main()
