"""What people do with an installed stack and hear of it: with the command, on the event bus, on a topic."""
import contextlib
import json
import threading
import unittest

from checks import Scenario, end_world, sites, slow
from world import DEV, HOME, PROD, STAGING, TOOLS, App, World, until

APPROVED, REJECTED, HALTED = (App(name, ("dev", "gated")) for name in ("approved", "rejected", "halted"))
FROZEN, LOST, OVERLOOKED = (App(name, ("dev",)) for name in ("frozen", "lost", "overlooked"))
UNDONE = App("undone", ("dev", "prod"))

# The production account once more, with a person who has to agree.
GATED = {"name": "gated", "account": PROD, "regions": [HOME], "role": "tagboat-target", "external_id": "tagboat-prod", "approval": "required"}


def setUpModule():
    world = Scenario.world = World("people", (APPROVED, REJECTED, HALTED, FROZEN, LOST, OVERLOOKED, UNDONE), [GATED], parameters={"Notify": "failures"})
    People.outcomes, People.told = Queue(world, "outcomes"), Queue(world, "told")
    events = world.aws.client("events")
    events.put_rule(Name="outcomes", EventPattern=json.dumps({"source": ["tagboat"]}))
    events.put_targets(Rule="outcomes", Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{HOME}:{TOOLS}:outcomes"}])
    world.aws.client("sns").subscribe(
        TopicArn=world.tools.outputs()["NotifyTopicArn"], Protocol="sqs", Endpoint=f"arn:aws:sqs:{HOME}:{TOOLS}:told")


def tearDownModule():
    end_world()


class Queue:
    """Everything that came to a queue so far; several tests look at it."""

    def __init__(self, world, name):
        self.sqs, self.messages, self.lock = world.aws.client("sqs"), [], threading.Lock()
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]

    def all(self):
        with self.lock:
            while found := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", []):
                for message in found:
                    self.messages.append(json.loads(message["Body"]))
                    self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            return list(self.messages)


class People(Scenario):
    def check_heard(self, release, *wanted):
        """The event bus told these happenings of a release, with the environment or the end, and no others."""
        def heard():
            of = [e for e in self.outcomes.all() if e["detail"]["release"] == release]
            return {(e["detail-type"].removeprefix("Tagboat "), e["detail"].get("environment") or e["detail"]["state"]) for e in of}
        self.comes(heard, set(wanted))

    def check_sent(self, release, *wanted):
        """The topic sent these sentences of a release, and no others."""
        self.comes(lambda: {m["Message"] for m in self.told.all() if release in m["Message"]}, {
            f"{sentence} (tagboat show {release})" for sentence in wanted})

    def comes(self, look, wanted):
        with contextlib.suppress(TimeoutError):
            until(lambda: look() == wanted, 30)
        self.assertEqual(look(), wanted)

    def done(self, *arguments, code=0):
        ran = self.world.command(*arguments)
        self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
        return ran.stdout + ran.stderr


class Approvals(People):
    def test_a_release_waits_for_a_person_who_approves_it(self):
        sha, (_, answer) = self.push(APPROVED, "1.0.0", APPROVED.files("1.0.0", "first"))
        release = answer["releases"][0]
        self.waits(release)
        self.check_live(APPROVED, sites("dev"), "1.0.0", "first", 1)
        self.check_untouched(APPROVED, [s for s in sites("prod") if s[2] == HOME])
        self.assertEqual(self.execution(release)["status"], "RUNNING")
        self.assertIn("sent by", self.done("approve", release, "--stack", "tagboat", "--by", "jane", code=2))  # who pushed the tag
        self.assertEqual(self.state_of(release), "waiting_approval")
        self.done("approve", release, "--stack", "tagboat")
        self.ends(release, "SUCCEEDED")
        self.check_live(APPROVED, [*sites("dev"), *(s for s in sites("prod") if s[2] == HOME)], "1.0.0", "first", 1)
        self.check_told(sha, APPROVED, "success", {"dev": "success", "gated": "success"})
        self.assertEqual(self.world.github.checks(sha), [], "with a token there are no check runs")
        with self.document("release/" + release, "record") as record:
            approval = record["environments"][1]["approval"]
            self.assertEqual(approval["by"], "carol")
        self.check_heard(release, ("Environment Started", "dev"), ("Environment Released", "dev"), ("Approval Asked", "gated"),
                         ("Environment Started", "gated"), ("Environment Released", "gated"), ("Release Ended", "succeeded"))
        self.check_sent(release, "approved 1.0.0 asks to be released to gated. "
                        f"Answer with: tagboat approve {release} --plan {approval['fingerprint'][:12]} or tagboat reject {release}")
        self.doctor_finds_it_well()

    def doctor_finds_it_well(self):
        """The doctor function looks at the roles of all environments, and at what was released there."""
        found = json.loads(self.done("doctor", "--json"))
        self.assertEqual([f for f in found if f["state"] == "failed"], [])
        seen = {(f["check"], f.get("object", "")): f["state"] for f in found}
        for account, environment in ((DEV, "dev"), (STAGING, "staging"), (PROD, "prod")):
            role = f"arn:aws:iam::{account}:role/tagboat-target"
            self.assertEqual(seen["role", f"{role} with the external id of {environment}"], "ok")
            self.assertEqual(seen["role", f"{role} without an external id"], "ok")
        kinds = {check for (check, _), state in seen.items() if state == "ok"}
        self.assertLessEqual({"function", "layer", "staged code"}, kinds)

    def test_a_release_ends_when_its_question_is_answered_with_no(self):
        """With the AWS CLI, as somebody could who has no command."""
        _, (_, answer) = self.push(REJECTED, "1.0.0", REJECTED.files("1.0.0", "first"))
        release = answer["releases"][0]
        self.waits(release)
        with self.document("release/" + release, "record") as record:
            token = record["environments"][1]["approval"]["token"]
        self.world.aws.aws("stepfunctions", "send-task-failure", "--task-token", token, "--error", "Tagboat.Rejected", "--cause", "not today")
        self.ends(release, "FAILED")
        self.check_live(REJECTED, sites("dev"), "1.0.0", "first", 1)
        self.check_untouched(REJECTED, sites("prod"))


class Orders(People):
    def test_a_halted_release_ends_and_keeps_what_is_done(self):
        _, (_, answer) = self.push(HALTED, "1.0.0", HALTED.files("1.0.0", "first"))
        release = answer["releases"][0]
        self.waits(release)
        self.done("halt", release, "--reason", "wrong build")
        ended = self.ends(release, "FAILED")
        self.assertEqual(ended["error"], "Tagboat.Clean")
        self.check_live(HALTED, sites("dev"), "1.0.0", "first", 1)
        self.check_untouched(HALTED, sites("prod"))
        self.assertIn("halted already, by carol", self.done("halt", release, "--reason", "again"))
        self.check_heard(release, ("Environment Started", "dev"), ("Environment Released", "dev"), ("Approval Asked", "gated"),
                         ("Release Ended", "failed_clean"))

    def test_what_is_frozen_is_refused(self):
        self.done("freeze", FROZEN.name, "--until", "1h", "--reason", "incident 4711")
        _, (_, answer) = self.push(FROZEN, "1.0.0", FROZEN.files("1.0.0", "first"))
        release = answer["releases"][0]
        self.ends(release, "FAILED")
        self.assertEqual(self.state_of(release), "refused")
        self.check_untouched(FROZEN, sites("dev"))
        self.done("unfreeze", FROZEN.name)
        _, (_, answer) = self.push(FROZEN, "1.0.1", FROZEN.files("1.0.1", "first"))
        self.ends(answer["releases"][0], "SUCCEEDED")
        self.check_live(FROZEN, sites("dev"), "1.0.1", "first", 1)
        self.check_heard(release, ("Release Ended", "refused"))

    def test_a_version_is_rolled_back_by_hand(self):
        for version, library in (("1.0.0", "first"), ("1.1.0", "second")):
            _, (_, answer) = self.push(UNDONE, version, UNDONE.files(version, library))
            self.ends(answer["releases"][0], "SUCCEEDED")
        self.assertIn("1.0.0 is live in prod", self.done("rollback", "--app", UNDONE.name, "--environment", "prod"))
        self.check_live(UNDONE, sites("dev"), "1.1.0", "second", 2)
        self.check_live(UNDONE, sites("prod"), "1.0.0", "first", 1)
        status = json.loads(self.done("status", "--app", UNDONE.name, "--environment", "prod", "--json"))
        self.assertEqual({t["version"] for t in status}, {"1.0.0"})
        by = json.loads(self.done("releases", "--app", UNDONE.name, "--json"))[0]["request"]
        self.assertEqual((by["trigger"], by["actor"]), ("rollback", "carol"))


class Lost(People):
    @slow
    def test_a_sweep_recovers_what_no_event_told_of(self):
        self.swept(LOST)
        self.check_untouched(LOST, sites("dev"))

    def test_an_upload_whose_event_was_lost_is_released(self):
        _, (_, answer) = self.push(OVERLOOKED, "1.0.0", OVERLOOKED.files("1.0.0", "first"))
        self.ends(answer["releases"][0], "SUCCEEDED")
        self.ends(self.missed_upload(OVERLOOKED, "1.0.1"), "SUCCEEDED")
        self.check_live(OVERLOOKED, sites("dev"), "1.0.0", "1.0.1", 2)


if __name__ == "__main__":
    unittest.main()
