"""Releases through the deployed stack: functions, state machine, rules and roles as the template makes them, with IAM enforced."""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import unittest

from botocore.exceptions import ClientError

from checks import Scenario, sites, slow
from processes import ROOT
from world import DEV, EMPTY, EUROPE, HOME, PARTNER, SITES, STAGING, WEBHOOK_SECRET, App, World, archive, http_event, layer_zip, until

TAGGED, MOVED, UPLOADED, DROPPED, BROKEN, ASKED, STOPPED, UNDONE = (
    App(name) for name in ("tagged", "moved", "uploaded", "dropped", "broken", "asked", "stopped", "undone"))
ASKED.environments = ("dev", "gated")
UPLOADED.environments = DROPPED.environments = ("dev", "prod")
STOPPED.environments = MOVED.environments = ("dev",)
UNDONE.environments = ("dev", "prod")
UNHEARD = App("unheard", ("dev",))
PRUNED = App("pruned", ("dev",))
PRUNED.sharing, PRUNED.keep = {"organization": False}, {"keep": 1}
APPS = (TAGGED, MOVED, UPLOADED, DROPPED, BROKEN, ASKED, STOPPED, UNDONE, UNHEARD, PRUNED)

# The staging account once more, with a person who has to agree.
GATED = {"name": "gated", "account": STAGING, "regions": [HOME], "role": "tagboat-target", "external_id": "tagboat-staging",
         "approval": "required"}


def setUpModule():
    Scenario.world = World("aws", APPS, [GATED])


def tearDownModule():
    if Scenario.world:
        Scenario.world.close()


class Tags(Scenario):
    def test_a_signed_webhook_releases_a_tag_to_three_accounts_and_two_regions(self):
        sha, (status, answer) = self.push(TAGGED, "1.0.0", TAGGED.files("1.0.0", "first"))
        self.assertEqual((status, answer["code"]), (202, "started"), answer)
        self.ends(answer["releases"][0], "SUCCEEDED")
        self.check_live(TAGGED, SITES, "1.0.0", "first", 1)
        for region in (HOME, EUROPE):
            self.assertEqual(self.layer_versions(TAGGED, region), [1])
            self.check_shared(TAGGED, region, 1)
        self.check_told(sha, TAGGED, "success", {"dev": "success", "staging": "success", "prod": "success"})
        self.duplicates_change_nothing(answer["releases"])
        self.a_second_version_replaces_the_first()

    def duplicates_change_nothing(self, releases):
        """The same delivery again, its body in base64 as an HTTP API may send it, its headers in another case as a
        function URL's caller may; and the create event of the same tag."""
        push = self.world.github.delivery("push", TAGGED.tag("1.0.0"))
        encoded = base64.b64encode(push["body"].encode()).decode()
        create = self.world.github.delivery("create", TAGGED.tag("1.0.0"))
        for name, delivery, changes in (
            ("the same", push, {}),
            ("in base64", push, {"body": encoded, "isBase64Encoded": True}),
            ("headers as they were sent", push, {"headers": push["headers"]}),
            ("another event of the same tag", create, {}),
        ):
            with self.subTest(name):
                status, answer = self.deliver(delivery, **changes)
                self.assertEqual((status, answer["code"], answer["releases"]), (200, "duplicate", releases), answer)
        self.assertEqual(len(self.executions(TAGGED)), 1)

    def a_second_version_replaces_the_first(self):
        """New code with the same dependencies: the layer's version stays."""
        sha, (_, answer) = self.push(TAGGED, "1.1.0", TAGGED.files("1.1.0", "first"))
        self.ends(answer["releases"][0], "SUCCEEDED")
        self.check_live(TAGGED, SITES, "1.1.0", "first", 1)
        self.check_told(sha, TAGGED, "success", {"dev": "success", "staging": "success", "prod": "success"})

    def test_versions_beyond_those_to_keep_are_deleted(self):
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            _, (_, answer) = self.push(PRUNED, version, PRUNED.files(version, version))
            self.ends(answer["releases"][0], "SUCCEEDED")
        self.check_pruned(PRUNED, sites("dev"))
        self.check_live(PRUNED, sites("dev"), "1.2.0", "1.2.0", 3)

    def test_a_tag_that_moved_is_refused(self):
        _, (_, answer) = self.push(MOVED, "1.0.0", MOVED.files("1.0.0", "first"))
        self.ends(answer["releases"][0], "SUCCEEDED")
        _, (status, answer) = self.push(MOVED, "1.0.0", MOVED.files("1.0.0", "second"))
        self.assertEqual((status, answer["code"]), (200, "tag_moved"), answer)
        self.check_live(MOVED, sites("dev"), "1.0.0", "first", 1)

    def test_what_is_not_signed_starts_nothing(self):
        self.world.github.tag("unsigned", MOVED.files("2.0.0", "first"))
        delivery = self.world.github.delivery("push", "unsigned")
        for name, headers in (
            ("no signature", {k: v for k, v in delivery["headers"].items() if "Signature" not in k}),
            ("another body's signature", dict(delivery["headers"], **{"X-Hub-Signature-256": "sha256=" + "0" * 64})),
            ("SHA-1", dict({k: v for k, v in delivery["headers"].items() if "Signature" not in k}, **{"X-Hub-Signature": "sha1=" + "0" * 40})),
        ):
            with self.subTest(name):
                status, answer = self.deliver(delivery, headers=headers)
                self.assertEqual((status, answer["code"]), (401, "signature"), answer)


    def test_every_payload_that_github_recorded_is_answered(self):
        """None of them is of a tag that an application has. They come as HTTP APIs and function URLs send them."""
        got = {}
        for number, (event, payload) in enumerate(recorded()):
            body = json.dumps(payload)
            delivery = {"body": body, "headers": {
                "Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": f"e2e-{number}",
                "X-Hub-Signature-256": "sha256=" + hmac.new(WEBHOOK_SECRET.encode(), body.encode(), hashlib.sha256).hexdigest()}}
            status, answer = self.deliver(delivery, **self.shape(number, delivery))
            self.assertEqual((status, answer["status"]), (200, "ignored"), answer)
            codes = got.setdefault(event if event in ("push", "create", "release", "ping") else "any other", {})
            codes[answer["code"]] = codes.get(answer["code"], 0) + 1
        self.assertEqual(got, {
            "push": {"tag_pattern": 1, "tag_deleted": 4, "branch": 2}, "create": {"tag_pattern": 5},
            "release": {"tag_pattern": 3, "event": 10}, "ping": {"ping": 4}, "any other": {"event": 300}})

    def shape(self, number, delivery):
        """The event's members that differ: the body in base64 or not, of an HTTP API or of a function URL."""
        changes = {}
        if number % 2:
            changes.update(body=base64.b64encode(delivery["body"].encode()).decode(), isBase64Encoded=True)
        if number % 4 > 1:  # a function URL (Lambda developer guide, Invoking function URLs)
            context = dict(http_event(delivery)["requestContext"], routeKey="$default", domainName="abc.lambda-url.us-east-1.on.aws")
            changes.update(routeKey="$default", requestContext=context)
        return changes


def recorded():
    """The events and payloads of GitHub's collection of webhook examples, which npm installs."""
    folder = os.path.join(ROOT, ".build", "npm")
    file = os.path.join(folder, "node_modules", "@octokit", "webhooks-examples", "api.github.com", "index.json")
    if not os.path.exists(file):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, "@octokit/webhooks-examples@7.6.1"], check=True)
    with open(file, encoding="utf-8") as text:
        return [(event["name"], payload) for event in json.load(text) for payload in event["examples"]]


class Uploads(Scenario):
    def test_an_upload_replaces_the_layer_alone(self):
        _, (_, answer) = self.push(UPLOADED, "1.0.0", UPLOADED.files("1.0.0", "first"))
        self.ends(answer["releases"][0], "SUCCEEDED")
        folder = f"artifacts/{UPLOADED.name}/1.0.1/"
        self.upload(folder + "deps.zip", layer_zip("patched"))
        self.assertEqual(len(self.executions(UPLOADED)), 1, "an upload without its manifest starts nothing")
        manifest = UPLOADED.manifest(code=False, deps={"object": "deps.zip"})
        self.upload(folder + "tagboat.yaml", manifest.encode(), commit="f" * 40, actor="ci")
        release = self.second_execution(UPLOADED)
        self.ends(release, "SUCCEEDED")
        self.check_live(UPLOADED, sites("dev", "prod"), "1.0.0", "patched", 2)
        self.assertEqual(self.layer_versions(UPLOADED, HOME), [1, 2])
        self.assertEqual(self.layer_versions(UPLOADED, EUROPE), [1, 2])
        # Every event was delivered twice.
        self.assertEqual(len(self.executions(UPLOADED)), 2)

    def second_execution(self, app):
        return until(lambda: len(e := self.executions(app)) == 2 and max(e, key=lambda x: x["startDate"])["name"], 30,
                     what="the release of the upload")

    def test_a_drop_replaces_one_artifact(self):
        _, (_, answer) = self.push(DROPPED, "1.0.0", DROPPED.files("1.0.0", "first"))
        self.ends(answer["releases"][0], "SUCCEEDED")
        self.upload(f"drops/{DROPPED.name}/deps/1.0.1.zip", layer_zip("dropped"))
        self.ends(self.second_execution(DROPPED), "SUCCEEDED")
        self.check_live(DROPPED, sites("dev", "prod"), "1.0.0", "dropped", 2)
        self.upload(f"drops/{DROPPED.name}/deps/1.0.1.zip", layer_zip("other bytes"))
        until(lambda: "version_exists" in self.logged("artifact"), 30, what="the refusal of other bytes")
        self.assertEqual(len(self.executions(DROPPED)), 2)

    def logged(self, function):
        """What the processes of a function have logged."""
        folder = pathlib.Path(self.world.processes.logs)
        return "".join(path.read_text(encoding="utf-8") for path in folder.glob(f"tagboat-{function}-*.log"))


class MissedEvents(Scenario):
    @slow
    def test_a_tag_that_raised_no_event_is_released(self):
        sha, release = self.missed(UNHEARD, "1.0.0")
        self.ends(release, "SUCCEEDED")
        self.check_live(UNHEARD, sites("dev"), "1.0.0", "first", 1)
        self.check_told(sha, UNHEARD, "success", {"dev": "success"})
        status, answer = self.deliver(self.world.github.delivery("push", UNHEARD.tag("1.0.0")))
        self.assertEqual((status, answer["code"], answer["releases"]), (200, "duplicate", [release]), answer)


class Failures(Scenario):
    def test_a_failed_smoke_test_is_rolled_back(self):
        """The new code wants a variable that only dev has: dev keeps the release, staging gets back what it had."""
        sha, (_, answer) = self.push(BROKEN, "1.0.0", BROKEN.files("1.0.0", "first", needs="ONLY_IN_DEV"))
        ended = self.ends(answer["releases"][0], "FAILED")
        self.assertEqual(ended["error"], "Tagboat.Clean")
        self.check_live(BROKEN, sites("dev"), "1.0.0", "first", 1)
        self.check_untouched(BROKEN, sites("staging", "prod"))
        self.assertEqual(self.answer_of(BROKEN, STAGING, HOME, "$LATEST"), {"statusCode": 200, "version": "by hand"})
        self.check_told(sha, BROKEN, "failure", {"dev": "success", "staging": "failure"})
        self.a_corrected_version_goes_through()

    def a_corrected_version_goes_through(self):
        """The leases of the failed release are free again."""
        _, (_, answer) = self.push(BROKEN, "1.0.1", BROKEN.files("1.0.1", "first"))
        self.ends(answer["releases"][0], "SUCCEEDED")
        self.check_live(BROKEN, SITES, "1.0.1", "first", 1)

    @slow
    def test_a_stopped_execution_is_recovered(self):
        """Somebody stops the execution; its status-change event makes a recovery end the release, once the task that was
        under way cannot write any more."""
        _, (_, answer) = self.push(STOPPED, "1.0.0", STOPPED.files("1.0.0", "first"))
        release = answer["releases"][0]
        lambdas = self.world.aws.client("lambda", DEV)
        until(lambda: lambdas.get_function(FunctionName=STOPPED.function)["Configuration"]["CodeSize"] != self.size_by_hand(lambdas), 60, 0.1,
              what="the new code")
        self.world.aws.aws("stepfunctions", "stop-execution", "--execution-arn", self.execution(release)["executionArn"])
        until(lambda: len(self.executions(STOPPED)) == 2, 60, what="the recovery")
        self.ends(release + "-r1", "FAILED")
        self.check_untouched(STOPPED, sites("dev"))
        _, (_, answer) = self.push(STOPPED, "1.0.1", STOPPED.files("1.0.1", "first"))
        self.ends(answer["releases"][0], "SUCCEEDED")

    def size_by_hand(self, lambdas):
        return lambdas.get_function(FunctionName=STOPPED.function, Qualifier="1")["Configuration"]["CodeSize"]


class Approvals(Scenario):
    def test_a_release_waits_for_its_approval_and_ends_when_it_is_rejected(self):
        _, (_, answer) = self.push(ASKED, "1.0.0", ASKED.files("1.0.0", "first"))
        release = answer["releases"][0]
        token = until(lambda: self.token(release), 120, what="the question")
        self.check_live(ASKED, sites("dev"), "1.0.0", "first", 1)
        self.check_untouched(ASKED, sites("staging"))
        self.world.aws.aws("stepfunctions", "send-task-failure", "--task-token", token, "--error", "Tagboat.Rejected", "--cause", "not today")
        self.ends(release, "FAILED")
        self.check_live(ASKED, sites("dev"), "1.0.0", "first", 1)
        self.check_untouched(ASKED, sites("staging"))

    def token(self, release):
        """The token of the question, as the history of the execution shows it."""
        history = self.world.aws.client("stepfunctions").get_execution_history(executionArn=self.execution(release)["executionArn"])["events"]
        for event in history:
            scheduled = json.loads(event.get("taskScheduledEventDetails", {}).get("parameters", "{}"))
            if scheduled.get("Payload", {}).get("do") == "ask":
                return scheduled["Payload"]["token"]
        return None


class Command(Scenario):
    """The command on an installed stack: on its table, bucket and state machine, by its name alone."""

    def test_a_version_is_rolled_back_by_hand(self):
        for version, library in (("1.0.0", "first"), ("1.1.0", "second")):
            _, (_, answer) = self.push(UNDONE, version, UNDONE.files(version, library))
            self.ends(answer["releases"][0], "SUCCEEDED")
        done = self.world.command("rollback", "--app", UNDONE.name, "--environment", "prod")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("1.0.0 is live in prod", done.stdout)
        self.check_live(UNDONE, sites("dev"), "1.1.0", "second", 2)
        self.check_live(UNDONE, sites("prod"), "1.0.0", "first", 1)
        status = self.world.command("status", "--app", UNDONE.name, "--environment", "prod", "--json")
        self.assertEqual({t["version"] for t in json.loads(status.stdout)}, {"1.0.0"})
        by = json.loads(self.world.command("releases", "--app", UNDONE.name, "--json").stdout)[0]["request"]
        self.assertEqual((by["trigger"], by["actor"]), ("rollback", "carol"))


class Denied(Scenario):
    """What the roles may not do, although a program that runs with them could try."""

    def refused(self, credentials, service, operation, region=HOME, **arguments):
        with self.assertRaises(ClientError) as caught:
            getattr(self.world.aws.client_with(credentials, service, region), operation)(**arguments)
        self.assertIn(caught.exception.response["Error"]["Code"], ("AccessDenied", "AccessDeniedException", "403"), caught.exception)

    def role(self, name):
        return self.world.sessions[f"tagboat-{name}"]

    def target(self, account=DEV, by="update", external="tagboat-dev"):
        return self.world.aws.session(f"arn:aws:iam::{account}:role/tagboat-target", "e2e", self.role(by), ExternalId=external)

    def test_tasks_write_only_where_they_have_to(self):
        state = self.world.state_bucket
        for role, key in (("update", "config/registry.yaml"), ("stage", "config/registry.yaml"), ("publish", "staged/x"),
                          ("plan", "staged/x"), ("webhook", "releases/x/plan.json"), ("manifest", "manifests/tagged.yaml")):
            with self.subTest(role=role, key=key):
                self.refused(self.role(role), "s3", "put_object", Bucket=state, Key=key, Body=b"")
        self.refused(self.role("stage"), "s3", "put_object", Bucket=self.world.uploads_bucket, Key="drops/tagged/deps/9.zip", Body=b"")
        self.refused(self.role("tally"), "s3", "get_object", Bucket=state, Key="config/registry.yaml")

    def test_tasks_do_not_do_each_others_work(self):
        layer = {"LayerName": TAGGED.layer, "VersionNumber": 1}
        self.refused(self.role("publish"), "lambda", "add_layer_version_permission", StatementId="x", Action="lambda:GetLayerVersion",
                     Principal="*", **layer)
        self.refused(self.role("share"), "lambda", "publish_layer_version", LayerName=TAGGED.layer, Content={"ZipFile": layer_zip("x")})
        self.refused(self.role("update"), "lambda", "invoke", FunctionName="tagboat-conclude")
        self.refused(self.role("share"), "lambda", "delete_layer_version", **layer)
        self.refused(self.role("prune"), "lambda", "publish_layer_version", LayerName=TAGGED.layer, Content={"ZipFile": layer_zip("x")})
        for key in ("config/registry.yaml", f"staged/{TAGGED.name}/x"):  # not even hidden behind a delete marker
            self.refused(self.role("prune"), "s3", "delete_object", Bucket=self.world.state_bucket, Key=key)
        self.refused(self.role("prune"), "s3", "delete_object", Bucket=self.world.state_bucket, Key="releases/x/plan.json", VersionId="x")
        self.refused(self.role("stage"), "s3", "delete_object", Bucket=self.world.state_bucket, Key=f"staged/{TAGGED.name}/x", VersionId="x")
        self.refused(self.role("admit"), "secretsmanager", "get_secret_value", SecretId="tagboat/webhook")
        self.refused(self.role("webhook"), "secretsmanager", "get_secret_value", SecretId="tagboat/github")
        self.refused(self.role("tally"), "dynamodb", "delete_table", TableName=self.world.table)
        self.refused(self.role("plan"), "stepfunctions", "start_execution", stateMachineArn=self.world.machine, input="{}")

    def test_target_roles_trust_six_tasks_and_their_external_id(self):
        arn = f"arn:aws:iam::{DEV}:role/tagboat-target"
        for role in ("webhook", "admit", "publish", "share", "conclude", "report"):
            with self.subTest(role=role):
                self.refused(self.role(role), "sts", "assume_role", RoleArn=arn, RoleSessionName="e2e", ExternalId="tagboat-dev")
        for external in ({}, {"ExternalId": "tagboat-prod"}):
            with self.subTest(external):
                self.refused(self.role("update"), "sts", "assume_role", RoleArn=arn, RoleSessionName="e2e", **external)
        self.target()  # with its own id, it may

    def test_target_roles_touch_only_their_functions_and_staged_code(self):
        code = {"ZipFile": archive({"app.py": EMPTY})}
        target = self.target()
        self.refused(target, "lambda", "update_function_code", FunctionName="foreign-api", **code)
        self.refused(target, "lambda", "get_function", FunctionName="foreign-api")
        self.refused(target, "lambda", "delete_function", FunctionName=TAGGED.function)
        self.refused(self.target(by="prune"), "lambda", "delete_function", FunctionName=TAGGED.function)
        self.refused(self.target(by="prune"), "lambda", "delete_function", FunctionName="foreign-api", Qualifier="1")
        self.refused(target, "lambda", "add_permission", FunctionName=TAGGED.function, StatementId="x", Action="lambda:InvokeFunction", Principal="*")
        self.refused(target, "s3", "get_object", Bucket=self.world.state_bucket, Key="config/registry.yaml")
        self.refused(target, "s3", "put_object", Bucket=self.world.state_bucket, Key="staged/tagged/x", Body=b"")
        self.refused(target, "iam", "list_roles")

    def test_a_layer_that_is_not_shared_cannot_be_attached(self):
        made = self.world.aws.client("lambda").publish_layer_version(LayerName="secret", Content={"ZipFile": layer_zip("secret")})
        self.refused(self.target(), "lambda", "get_layer_version_by_arn", Arn=made["LayerVersionArn"])
        self.refused(self.target(), "lambda", "update_function_configuration", FunctionName=TAGGED.function,
                     Layers=[made["LayerVersionArn"]])

    def test_accounts_that_are_no_targets_read_nothing(self):
        partner = self.world.aws.admin(PARTNER)
        self.world.aws.client("s3").put_object(Bucket=self.world.state_bucket, Key="staged/x", Body=b"code")
        self.refused(partner, "s3", "get_object", Bucket=self.world.state_bucket, Key="staged/x")
        # An account that is one reads through its target role alone.
        self.refused(self.world.aws.admin(DEV), "s3", "get_object", Bucket=self.world.state_bucket, Key="staged/x")


if __name__ == "__main__":
    unittest.main()
