"""Releases through the deployed stack: functions, state machine, rules and roles as the template makes them, with IAM enforced."""
import base64
import json
import os
import pathlib
import subprocess
import unittest

from botocore.exceptions import ClientError

from checks import Scenario, end_world, sites, slow
from processes import ROOT
from world import DEV, EMPTY, EUROPE, HOME, PARTNER, PROBE, SITES, STAGING, STACK, TOOLS, App, World, archive, http_event, layer_zip, signature, until

TAGGED, MOVED, UPLOADED, DROPPED, BROKEN, STOPPED = (
    App(name) for name in ("tagged", "moved", "uploaded", "dropped", "broken", "stopped"))
UPLOADED.environments = DROPPED.environments = ("dev", "prod")
STOPPED.environments = MOVED.environments = ("dev",)
UNHEARD, UNSIGNED, NARROW, ATTACHED = (App(name, ("dev",)) for name in ("unheard", "unsigned", "narrow", "attached"))
PRUNED = App("pruned", ("dev",))
PRUNED.sharing, PRUNED.keep = {"organization": False}, {"keep": 1}
APPS = (TAGGED, MOVED, UPLOADED, DROPPED, BROKEN, STOPPED, UNHEARD, UNSIGNED, NARROW, ATTACHED, PRUNED)


def setUpModule():
    Scenario.world = World("aws", APPS, github_app=True)


def tearDownModule():
    end_world()


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
        self.check_run(sha, "success", ["dev", "staging", "prod"])
        self.check_settled(answer["releases"][0])
        self.duplicates_change_nothing(answer["releases"])
        self.a_second_version_replaces_the_first()

    def check_run(self, sha, conclusion, environments):
        """The check run that GitHub takes from an App: concluded, with what was planned for each environment."""
        [run] = self.world.github.checks(sha)
        self.assertEqual((run["status"], run["conclusion"]), ("completed", conclusion), run)
        for environment in environments:
            self.assertIn(environment, run["output"]["summary"])

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
        """The same body starts a release when it is signed."""
        self.world.github.tag(UNSIGNED.tag("1.0.0"), UNSIGNED.files("1.0.0", "first"))
        signed = self.world.github.delivery("push", UNSIGNED.tag("1.0.0"))
        bare, body = {k: v for k, v in signed["headers"].items() if "Signature" not in k}, signed["body"]
        for name, more in (
            ("no signature", {}),
            ("an empty one", {"X-Hub-Signature-256": ""}),
            ("another body's", {"X-Hub-Signature-256": signature(body + " ")}),
            ("SHA-1, as it should be", {"X-Hub-Signature": signature(body, "sha1")}),
            ("SHA-1 in the place of SHA-256", {"X-Hub-Signature-256": signature(body, "sha1")}),
        ):
            with self.subTest(name):
                status, answer = self.deliver({"headers": dict(bare, **more), "body": body})
                self.assertEqual((status, answer["code"]), (401, "signature"), answer)
        self.assertEqual((self.executions(UNSIGNED), self.releases(UNSIGNED)), ([], []))
        mixed = {"".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(name)): value for name, value in signed["headers"].items()}
        status, answer = self.deliver(signed, headers=mixed)
        self.assertEqual((status, answer["code"]), (202, "started"), answer)
        self.ends(answer["releases"][0], "SUCCEEDED")

    def test_every_payload_that_github_recorded_is_answered(self):
        """None of them is of a tag that an application has. They come as HTTP APIs and function URLs send them."""
        got, known = {}, {app.name for app in APPS}
        for number, (event, payload) in enumerate(recorded()):
            body = json.dumps(payload)
            delivery = {"body": body, "headers": {
                "Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": f"e2e-{number}",
                "X-Hub-Signature-256": signature(body)}}
            status, answer = self.deliver(delivery, **self.shape(number, delivery))
            self.assertEqual((status, answer["status"]), (200, "ignored"), answer)
            codes = got.setdefault(event if event in ("push", "create", "release", "ping") else "any other", {})
            codes[answer["code"]] = codes.get(answer["code"], 0) + 1
        self.assertEqual(got, {
            "push": {"tag_pattern": 1, "tag_deleted": 4, "branch": 2}, "create": {"tag_pattern": 5},
            "release": {"tag_pattern": 3, "event": 10}, "ping": {"ping": 4}, "any other": {"event": 300}})
        listed = self.world.aws.aws("stepfunctions", "list-executions", "--state-machine-arn", self.world.machine)["executions"]
        self.assertEqual({e["name"].split("-")[0] for e in listed} - known, set(), "only the applications of the other tests are released")

    def shape(self, number, delivery):
        """The event's members that differ: the body in base64 or not, of an HTTP API or of a function URL."""
        changes = {}
        if number % 2:
            changes.update(body=base64.b64encode(delivery["body"].encode()).decode(), isBase64Encoded=True)
        if number % 4 > 1:  # a function URL (Lambda developer guide, Invoking function URLs)
            context = dict(http_event(delivery)["requestContext"], routeKey="$default", domainName="abc.lambda-url.us-east-1.on.aws")
            changes.update(routeKey="$default", requestContext=context)
        if number % 3 == 0:  # header names as somebody may write them
            changes.update(headers={name.title(): value for name, value in delivery["headers"].items()})
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
        until(lambda: self.heard(folder + "deps.zip") == 2, 60, what="both events of the upload")
        self.assertEqual(len(self.executions(UPLOADED)), 1, "an upload without its manifest starts nothing")
        manifest = UPLOADED.manifest(code=False, deps={"object": "deps.zip"})
        self.upload(folder + "tagboat.yaml", manifest.encode(), commit="f" * 40, actor="ci")
        release = self.second_execution(UPLOADED)
        self.ends(release, "SUCCEEDED")
        self.check_live(UPLOADED, sites("dev", "prod"), "1.0.0", "patched", 2)
        self.assertEqual(self.layer_versions(UPLOADED, HOME), [1, 2])
        self.assertEqual(self.layer_versions(UPLOADED, EUROPE), [1, 2])
        self.assertEqual(self.heard(folder + "tagboat.yaml"), 2, "every event is delivered twice")
        self.assertEqual(len(self.executions(UPLOADED)), 2)

    def heard(self, key):
        """How many events of an object the function has answered."""
        return sum(event["detail"]["object"]["key"] == key for event in self.world.answered("tagboat-artifact"))

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
        self.ends(release + "-r1", "FAILED", 400)
        self.check_untouched(STOPPED, sites("dev"))
        _, (_, answer) = self.push(STOPPED, "1.0.1", STOPPED.files("1.0.1", "first"))
        self.ends(answer["releases"][0], "SUCCEEDED")

    def size_by_hand(self, lambdas):
        return lambdas.get_function(FunctionName=STOPPED.function, Qualifier="1")["Configuration"]["CodeSize"]


class Denied(Scenario):
    """What the roles may not do, although a program that runs with them could try."""

    def refused(self, credentials, service, operation, region=HOME, **arguments):
        with self.assertRaises(ClientError) as caught:
            getattr(self.world.aws.client_with(credentials, service, region), operation)(**arguments)
        self.assertIn(caught.exception.response["Error"]["Code"], ("AccessDenied", "AccessDeniedException", "403"), caught.exception)

    def role(self, name):
        return self.world.probes[f"{STACK}-{name}"]

    def target(self, account=DEV, by="update", external="tagboat-dev", **narrowed):
        return self.world.aws.session(f"arn:aws:iam::{account}:role/tagboat-target", PROBE, self.role(by), ExternalId=external, **narrowed)

    def allowed(self, credentials, service, operation, region=HOME, **arguments):
        """What a role may do beside what it is refused: it is not the request that is wrong."""
        return getattr(self.world.aws.client_with(credentials, service, region), operation)(**arguments)

    def test_tasks_write_only_where_they_have_to(self):
        state = self.world.state_bucket
        for role, key in (("update", "config/registry.yaml"), ("stage", "config/registry.yaml"), ("publish", "staged/x"),
                          ("plan", "staged/x"), ("webhook", "releases/x/plan.json"), ("manifest", "manifests/tagged.yaml")):
            with self.subTest(role=role, key=key):
                self.refused(self.role(role), "s3", "put_object", Bucket=state, Key=key, Body=b"")
        self.refused(self.role("stage"), "s3", "put_object", Bucket=self.world.uploads_bucket, Key="drops/tagged/deps/9.zip", Body=b"")
        self.refused(self.role("tally"), "s3", "get_object", Bucket=state, Key="config/registry.yaml")
        for role, key in (("update", "staged/probe/x"), ("stage", "staged/probe/x"), ("plan", "releases/probe/plan.json"),
                          ("manifest", "releases/probe/manifest.json"), ("snapshot", "releases/probe/snapshots/x")):
            with self.subTest(role=role, key=key):
                self.allowed(self.role(role), "s3", "put_object", Bucket=state, Key=key, Body=b"")
        self.allowed(self.role("webhook"), "s3", "get_object", Bucket=state, Key="config/registry.yaml")

    def test_tasks_write_to_the_ledger_only_what_is_theirs(self):
        document = lambda partition: {"pk": {"S": partition}, "sk": {"S": "probe"}}
        for role, partition in (("report", "lease"), ("report", "untold"), ("webhook", "lease"), ("webhook", "live"), ("webhook", "layer/x/y"),
                                ("artifact", "code/x/y"), ("missed", "freeze"), ("manifest", "lease"), ("snapshot", "layer/x/y")):
            with self.subTest(role=role, partition=partition):
                self.refused(self.role(role), "dynamodb", "put_item", TableName=self.world.table, Item=document(partition))
        for partition in ("lease", "active", "release/probe"):
            with self.subTest(deletes=partition):
                self.refused(self.role("report"), "dynamodb", "delete_item", TableName=self.world.table, Key=document(partition))
        for role in ("report", "webhook", "artifact", "missed", "manifest", "snapshot"):
            with self.subTest(role=role):
                self.allowed(self.role(role), "dynamodb", "put_item", TableName=self.world.table, Item=document("release/probe"))
        self.allowed(self.role("report"), "dynamodb", "delete_item", TableName=self.world.table, Key=document("untold"))

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

    TRUSTED = {"snapshot", "access", "update", "shift", "rollback", "prune", "doctor"}

    def test_target_roles_trust_seven_tasks_and_their_external_id(self):
        arn = f"arn:aws:iam::{DEV}:role/tagboat-target"
        others = {name.removeprefix(STACK + "-") for name in self.world.probes} - self.TRUSTED
        self.assertEqual(len(others), 16, others)  # fifteen functions and the state machine
        for role in sorted(others):
            with self.subTest(role=role):
                self.refused(self.role(role), "sts", "assume_role", RoleArn=arn, RoleSessionName=PROBE, ExternalId="tagboat-dev")
        for role in sorted(self.TRUSTED):
            with self.subTest(role=role):
                for external in ({}, {"ExternalId": "tagboat-prod"}):
                    self.refused(self.role(role), "sts", "assume_role", RoleArn=arn, RoleSessionName=PROBE, **external)
                self.target(by=role)  # with its own id, it may
        for somebody in (self.world.aws.admin(PARTNER), self.world.aws.admin(TOOLS)):
            self.refused(somebody, "sts", "assume_role", RoleArn=arn, RoleSessionName=PROBE, ExternalId="tagboat-dev")

    def test_a_session_for_one_application_touches_no_other(self):
        """The very session policies that the tasks passed when they released an application."""
        _, (_, answer) = self.push(NARROW, "1.0.0", NARROW.files("1.0.0", "first"))
        self.ends(answer["releases"][0], "SUCCEEDED")
        passed = {d["RoleSessionName"]: d["Policy"] for d in self.world.decisions()
                  if d["action"] == "sts:AssumeRole" and d["allowed"] and "Policy" in d and f":{DEV}:" in d["resource"]}
        by = {"snapshot": "snapshot", "access": "access", "update": "update", "shift": "shift"}
        self.assertLessEqual({f"tagboat-{phase}-{NARROW.name}" for phase in by}, set(passed))
        sessions = {phase: self.target(by=role, Policy=passed[f"tagboat-{phase}-{NARROW.name}"]) for phase, role in by.items()}
        for phase in ("snapshot", "update"):
            with self.subTest(phase):
                self.allowed(sessions[phase], "lambda", "get_function", FunctionName=NARROW.function)
                self.refused(sessions[phase], "lambda", "get_function", FunctionName=MOVED.function)
                self.refused(sessions[phase], "lambda", "get_function", region=EUROPE, FunctionName=NARROW.function)
        moved = {"FunctionName": MOVED.function, "Name": "live", "Description": "probe"}
        self.allowed(sessions["shift"], "lambda", "update_alias", **dict(moved, FunctionName=NARROW.function))
        self.refused(sessions["shift"], "lambda", "update_alias", **moved)
        self.refused(sessions["update"], "lambda", "update_alias", **dict(moved, FunctionName=NARROW.function))
        code = {"ZipFile": archive({"app.py": EMPTY})}
        self.refused(sessions["update"], "lambda", "update_function_code", FunctionName=MOVED.function, **code)
        self.refused(sessions["snapshot"], "lambda", "update_function_code", FunctionName=NARROW.function, **code)
        self.allowed(self.target(), "lambda", "update_alias", **moved)  # without the policy, it may

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
        self.allowed(target, "lambda", "get_function", FunctionName=TAGGED.function)
        self.world.aws.client("s3").put_object(Bucket=self.world.state_bucket, Key="staged/probe/code", Body=b"code")
        self.allowed(target, "s3", "get_object", Bucket=self.world.state_bucket, Key="staged/probe/code")

    def test_a_layer_that_is_not_shared_cannot_be_attached(self):
        """Another function's layer version: no role of another account reads it until it is granted, version by version."""
        functions = self.world.aws.client("lambda")
        made = functions.publish_layer_version(LayerName="secret", Content={"ZipFile": layer_zip("secret")})["LayerVersionArn"]
        attach = {"FunctionName": ATTACHED.function, "Layers": [made]}
        self.refused(self.target(), "lambda", "get_layer_version_by_arn", Arn=made)
        self.refused(self.target(), "lambda", "update_function_configuration", **attach)
        functions.add_layer_version_permission(LayerName="secret", VersionNumber=1, StatementId="dev", Action="lambda:GetLayerVersion", Principal=DEV)
        self.allowed(self.target(), "lambda", "get_layer_version_by_arn", Arn=made)
        self.allowed(self.target(), "lambda", "update_function_configuration", **attach)
        second = functions.publish_layer_version(LayerName="secret", Content={"ZipFile": layer_zip("other")})["LayerVersionArn"]
        self.refused(self.target(), "lambda", "get_layer_version_by_arn", Arn=second)

    def test_accounts_that_are_no_targets_read_nothing(self):
        partner = self.world.aws.admin(PARTNER)
        self.world.aws.client("s3").put_object(Bucket=self.world.state_bucket, Key="staged/x", Body=b"code")
        self.refused(partner, "s3", "get_object", Bucket=self.world.state_bucket, Key="staged/x")
        # An account that is one reads through its target role alone.
        self.refused(self.world.aws.admin(DEV), "s3", "get_object", Bucket=self.world.state_bucket, Key="staged/x")


if __name__ == "__main__":
    unittest.main()
