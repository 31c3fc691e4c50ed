"""Releases through `tagboat serve`: the same accounts, roles and buckets, without the stack's functions and state machine."""
import json
import os
import subprocess
import unittest
import urllib.error
import urllib.request

from checks import Scenario, end_world, sites, slow
from endure import Mortal, release_all
from processes import ROOT, binary
from world import DEV, EUROPE, GITHUB_TOKEN, HOME, SITES, STAGING, TOOLS, WEBHOOK_SECRET, App, World, layer_zip, until

TAGGED, UPLOADED, BROKEN, ASKED = (App(name) for name in ("tagged", "uploaded", "broken", "asked"))
ASKED.environments = ("dev", "gated")
UPLOADED.environments = ("dev", "prod")
# What the kills go through: releases one by one that succeed; of which every second breaks; that are asked for four at once
# and wait for each other; that wait for an approval.
KILLED = [App("killed", ("dev",)), App("breaking", ("dev",)), App("queued", ("dev",)), App("gating", ("gated",))]
for _app, _break_every, _at_once in zip(KILLED, (0, 2, 4, 4), (1, 1, 4, 1)):
    _app.break_every, _app.at_once = _break_every, _at_once
# How many releases the kills go through, and what decides their moments.
ENDURE, SEED = int(os.environ.get("ENDURE", "8")), int(os.environ.get("SEED", "1"))
TOKEN = "e2e-api-token"

GATED = {"name": "gated", "account": STAGING, "regions": [HOME], "role": "tagboat-target", "external_id": "tagboat-staging",
         "approval": "required"}


class Server:
    """A `tagboat serve` process."""

    def __init__(self, world, environment, arguments):
        environment = {
            "PATH": os.environ["PATH"], "HOME": world.folder, "AWS_REGION": HOME, "AWS_ENDPOINT_URL": world.aws.url,
            "AWS_EC2_METADATA_DISABLED": "true", "TAGBOAT_WEBHOOK_SECRET": WEBHOOK_SECRET, "TAGBOAT_TOKEN": TOKEN,
            "GITHUB_API_URL": world.github.url + "/api/v3", "GITHUB_TOKEN": GITHUB_TOKEN, **environment,
        }
        self.environment = environment
        line = world.processes.start("serve", [binary("tagboat"), "serve", "--listen", "127.0.0.1:0",
                                               "--state", os.path.join(world.folder, "tagboat.db"), *arguments], environment, address=True)
        self.url = line.split()[-1]

    def call(self, method, path, body=None, headers=None):
        """Status and decoded body of an answer."""
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"} if headers is None else headers
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as answer:
            return answer.code, json.load(answer)

    def deliver(self, delivery):
        return self.call("POST", "/webhooks/github", delivery["body"], delivery["headers"])

    def release(self, name):
        return self.call("GET", "/releases/" + name)[1]

    def command(self, *arguments):
        environment = dict(self.environment, TAGBOAT_SERVER=self.url)
        return subprocess.run([binary("tagboat"), *arguments], env=environment, capture_output=True, text=True, check=False, cwd=ROOT)


def setUpModule():
    world = Scenario.world = World("serve", (TAGGED, UPLOADED, BROKEN, ASKED, *KILLED), [GATED])
    try:
        # The stack is there for its buckets, roles and trust; its function leaves the events to us.
        world.aws.client("events").disable_rule(Name="tagboat-ArtifactFunctionUploaded")
        Scenario.queue = bridge(world)
        Scenario.killed_registry = separate(world)
        Scenario.server = Server(world, session(world), [
            "--registry", f"s3://{world.state_bucket}/config/registry.yaml", "--bucket", world.state_bucket,
            "--uploads-bucket", world.uploads_bucket])
    except BaseException:
        world.close()
        raise


def separate(world):
    """Gives the apps that the kills go through a registry of their own, a file: two servers that know the same app would both look
    for its missed tags, and each release what the other has released."""
    apps, path = world.apps, os.path.join(world.folder, "killed.yaml")
    world.apps = KILLED
    with open(path, "w", encoding="utf-8") as file:
        json.dump(world.registry(), file)
    world.apps = [app for app in apps if app not in KILLED]
    world.put_registry()
    return path


def tearDownModule():
    end_world()


def session(world):
    """One role for all that serve does in the tools account: it may do what all tasks of the stack may together, look
    whether its buckets keep versions, and keep a registry that is a file. Target accounts trust the names of the stack's roles, so it is one of them."""
    iam, buckets = world.aws.client("iam"), (world.state_bucket, world.uploads_bucket)
    statements = [{"Effect": "Allow", "Action": "s3:GetBucketVersioning", "Resource": [f"arn:aws:s3:::{bucket}" for bucket in buckets]},
                  {"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject", "s3:GetObjectVersion"],
                   "Resource": f"arn:aws:s3:::{world.state_bucket}/registry/*"}]
    for role in world.sessions:
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            statements += iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
    union = {"Version": "2012-10-17", "Statement": [s for i, s in enumerate(statements) if s not in statements[:i]]}
    iam.put_role_policy(RoleName="tagboat-update", PolicyName="serve", PolicyDocument=json.dumps(union))
    return {name.upper(): value for name, value in world.sessions["tagboat-update"].items()}


def bridge(world):
    """A queue that gets the events of the uploads bucket, as one would bridge EventBridge to a server."""
    queue = world.aws.client("sqs").create_queue(QueueName="events")["QueueUrl"]
    events = world.aws.client("events")
    events.put_rule(Name="to-serve", EventPattern=json.dumps({
        "source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": [world.uploads_bucket]}}}))
    events.put_targets(Rule="to-serve", Targets=[{"Id": "queue", "Arn": f"arn:aws:sqs:{HOME}:{TOOLS}:events"}])
    return queue


class Serve(Scenario):
    def push_to_server(self, app, version, files):
        sha = self.world.github.tag(app.tag(version), files)
        return sha, self.server.deliver(self.world.github.delivery("push", app.tag(version)))

    def reaches(self, release, *states, seconds=150):
        view = until(lambda: (v := self.server.release(release)).get("state") in states + (
            "succeeded", "failed_clean", "failed_dirty", "refused", "rejected") and v, seconds, what=release)
        self.assertIn(view["state"], states, json.dumps(view, indent=1)[:3000])
        return view

    def test_a_webhook_releases_a_tag_to_three_accounts_and_two_regions(self):
        sha, (status, answer) = self.push_to_server(TAGGED, "1.0.0", TAGGED.files("1.0.0", "first"))
        self.assertEqual((status, answer["code"]), (202, "started"), answer)
        view = self.reaches(answer["releases"][0], "succeeded")
        self.assertEqual({s["state"] for s in view["steps"]}, {"done"})
        self.check_live(TAGGED, SITES, "1.0.0", "first", 1)
        for region in (HOME, EUROPE):
            self.assertEqual(self.layer_versions(TAGGED, region), [1])
            self.check_shared(TAGGED, region, 1)
        self.check_told(sha, TAGGED, "success", {"dev": "success", "staging": "success", "prod": "success"})
        status, again = self.server.deliver(self.world.github.delivery("create", TAGGED.tag("1.0.0")))
        self.assertEqual((status, again["code"], again["releases"]), (200, "duplicate", answer["releases"]))

    def test_uploads_and_drops_replace_the_layer_alone(self):
        _, (_, answer) = self.push_to_server(UPLOADED, "1.0.0", UPLOADED.files("1.0.0", "first"))
        self.reaches(answer["releases"][0], "succeeded")
        folder = f"artifacts/{UPLOADED.name}/1.0.1/"
        self.upload(folder + "deps.zip", layer_zip("patched"))
        self.upload(folder + "tagboat.yaml", UPLOADED.manifest(code=False, deps={"object": "deps.zip"}).encode())
        [(status, answer)] = [a for a in self.events(2) if a[1].get("releases")]
        self.assertEqual((status, answer["code"]), (202, "started"), answer)
        self.reaches(answer["releases"][0], "succeeded")
        self.check_live(UPLOADED, sites("dev", "prod"), "1.0.0", "patched", 2)
        self.upload(f"drops/{UPLOADED.name}/deps/1.0.2.zip", layer_zip("dropped"))
        [(status, answer)] = self.events(1)
        self.assertEqual((status, answer["code"]), (202, "started"), answer)
        self.reaches(answer["releases"][0], "succeeded")
        self.check_live(UPLOADED, sites("dev", "prod"), "1.0.0", "dropped", 3)
        status, again = self.server.call("POST", "/events", self.last_event)
        self.assertEqual((status, again["code"], again["releases"]), (200, "duplicate", answer["releases"]))

    def events(self, count):
        """Hands the events of uploads on to the server, and gives its answers."""
        answers = []
        while len(answers) < count:
            for message in self.world.aws.client("sqs").receive_message(QueueUrl=self.queue, WaitTimeSeconds=2).get("Messages", []):
                self.world.aws.client("sqs").delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                self.last_event = message["Body"]
                answers.append(self.server.call("POST", "/events", message["Body"]))
        return answers

    def test_a_failed_smoke_test_is_rolled_back(self):
        sha, (_, answer) = self.push_to_server(BROKEN, "1.0.0", BROKEN.files("1.0.0", "first", needs="ONLY_IN_DEV"))
        view = self.reaches(answer["releases"][0], "failed_clean")
        self.assertIn("ONLY_IN_DEV", view["error"])
        self.check_live(BROKEN, sites("dev"), "1.0.0", "first", 1)
        self.check_untouched(BROKEN, sites("staging", "prod"))
        self.check_told(sha, BROKEN, "failure", {"dev": "success", "staging": "failure"})

    def test_an_approval_lets_a_release_go_on(self):
        _, (_, answer) = self.push_to_server(ASKED, "1.0.0", ASKED.files("1.0.0", "first"))
        release = answer["releases"][0]
        self.reaches(release, "waiting_approval")
        self.check_untouched(ASKED, sites("staging"))
        status, refusal = self.server.call("POST", f"/releases/{release}/approve", {"by": "jane"})
        self.assertEqual(status, 403, refusal)  # jane pushed the tag
        done = self.server.command("approve", release, "--by", "bob")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.reaches(release, "succeeded")
        self.check_live(ASKED, sites("dev", "staging"), "1.0.0", "first", 1)

    @slow
    def test_releases_survive_that_the_process_is_killed(self):
        state = os.path.join(self.world.folder, "killed.db")
        arguments = ["--registry", self.killed_registry, "--bucket", self.world.state_bucket]
        with Mortal(self.world, self.server.environment, state, arguments, SEED) as server:
            streams = release_all(server, self.world, KILLED, ENDURE // len(KILLED))
            self.assertEqual([s.failure for s in streams], [None] * len(KILLED))
            self.assertGreaterEqual(server.kills, ENDURE)
            for stream in streams:
                self.check_stream(server, stream)
            queued, gating = streams[2], streams[3]
            self.assertTrue(any("waiting" in states for states in queued.seen.values()), queued.seen)
            self.assertTrue(all("waiting_approval" in states for states in gating.seen.values()), gating.seen)
            self.assertEqual(server.ask("GET", "/leases")[1], [])

    def check_stream(self, server, stream):
        """Every acknowledged delivery is one release that ended as it should, done once; the last good one is live."""
        app, ends = stream.app, stream.ends()
        overtaken = self.check_overtaken(stream, ends)
        self.assertEqual({v: end for v, end in ends.items() if v not in overtaken},
                         {v: end for v, end in stream.wanted().items() if v not in overtaken})
        listed = [r["id"] for r in server.ask("GET", f"/releases?app={app.name}&limit=1000")[1]]
        self.assertEqual(sorted(listed), sorted(stream.versions))
        [environment] = app.environments
        [site] = sites({"gated": "staging"}.get(environment, environment))
        good = [version for version in stream.wanted() if ends[version] == "succeeded"]
        self.check_live(app, [site], good[-1], "first", 1)
        self.assertEqual(self.layer_versions(app, HOME), [1])
        self.check_versions(app, site[1], len(ends) - len(overtaken), good[-1])
        for version, sha in stream.commits.items():
            if version not in overtaken:
                end = "success" if version in good else "failure"
                self.check_told(sha, app, end, {environment: end})
                self.assertEqual(len(self.world.github.deployments(sha)), 1)

    def check_overtaken(self, stream, ends):
        """The versions that were refused because a newer one of those asked for at once came first: a kill can hold up an older one
        on its way to the queue."""
        overtaken = {v for v, end in ends.items() if end == "refused"}
        self.assertLessEqual(len(overtaken), 0 if stream.app.at_once == 1 else len(ends) // 2)
        for version in overtaken:
            self.assertRegex(stream.errors[version], f"version {version} of app .* is older than .*, which is live")
        return overtaken

    def check_versions(self, app, account, count, last):
        """Each release published one version of its function, beside the one by hand; the alias is at that of the last good one."""
        published = self.world.aws.client("lambda", account).get_paginator("list_versions_by_function").paginate(FunctionName=app.function)
        versions = {v["Version"]: v["Description"] for page in published for v in page["Versions"] if v["Version"] != "$LATEST"}
        self.assertEqual(len(versions), 1 + count, versions)
        live = self.alias(app, account, HOME)["FunctionVersion"]
        self.assertTrue(versions[live].startswith(f"{app.name} {last}"), (live, versions))

    def test_nothing_is_answered_without_the_token(self):
        for method, path in (("GET", "/releases"), ("POST", "/events"), ("POST", "/releases/x/approve")):
            with self.subTest(path):
                self.assertEqual(self.server.call(method, path, {} if method == "POST" else None, {"Content-Type": "application/json"})[0], 401)


if __name__ == "__main__":
    unittest.main()
