"""What the scenarios do and look at, by the AWS CLI and boto3."""
import contextlib
import json
import os
import re
import time
import unittest

from processes import ROOT
from world import HOME, ORGANIZATION, PARTNER, SITES, TOOLS, http_event, layer_zip, until


def slow(test):
    """Marks a test that is started before the others, because it waits long."""
    test.slow = True
    return test


def granted(policy):
    """What a layer version's policy grants: to accounts, and to "o-…" for an organisation."""
    found = set()
    for statement in policy["Statement"]:
        principal = statement["Principal"]
        principal = principal.get("AWS", principal) if isinstance(principal, dict) else principal
        organization = statement.get("OrganizationId") or statement.get("Condition", {}).get("StringEquals", {}).get("aws:PrincipalOrgID")
        account = re.search(r"\d{12}", principal)
        found.add((statement["Effect"], statement["Action"], organization or (account[0] if account else principal)))
    return found


class Scenario(unittest.TestCase):
    """A test of one application in a world that its class shares."""

    world = None

    # ---- What people and services do. ----

    def push(self, app, version, files, event="push"):
        """Commits, tags, and delivers GitHub's webhook through the HTTP API's event. Gives the commit and the answer."""
        sha = self.world.github.tag(app.tag(version), files)
        return sha, self.deliver(self.world.github.delivery(event, app.tag(version)))

    def deliver(self, delivery, **changes):
        event = dict(http_event(delivery), **changes)
        out = self.world.aws.client("lambda").invoke(FunctionName="tagboat-webhook", Qualifier="live", Payload=json.dumps(event))
        response = json.load(out["Payload"])
        self.assertNotIn("FunctionError", out, response)
        return response["statusCode"], json.loads(response["body"])

    def upload(self, key, content, **metadata):
        path = os.path.join(self.world.folder, key.replace("/", "_"))
        with open(path, "wb") as file:
            file.write(content)
        more = ["--metadata", ",".join(f"{k}={v}" for k, v in metadata.items())] if metadata else []
        self.world.aws.aws("s3", "cp", path, f"s3://{self.world.uploads_bucket}/{key}", "--quiet", *more)

    def invoke(self, function, event=None):
        """Gives a function of the stack an event, as its schedule does, which does not fire here; the one in its folder if none."""
        if event is None:
            with open(os.path.join(ROOT, f"functions/{function}/event.json"), encoding="utf-8") as file:
                event = json.load(file)
        out = self.world.aws.client("lambda").invoke(FunctionName="tagboat-" + function, Qualifier="live", Payload=json.dumps(event))
        answer = json.load(out["Payload"])
        self.assertNotIn("FunctionError", out, answer)
        return answer

    def look(self):
        """Lets the stack look for missed events."""
        found = self.invoke("missed")
        self.assertEqual(found["failed"], 0, found)
        return found

    def missed(self, app, version):
        """Tags without a webhook. The first look that sees the tag starts nothing; one that comes a minute later does."""
        self.look()
        sha = self.world.github.tag(app.tag(version), app.files(version, "first"))
        self.look()
        self.assertEqual(self.executions(app), [])
        time.sleep(61)
        self.look()
        return sha, until(lambda: (e := self.executions(app)) and e[0]["name"], 10, what="the release")

    def missed_upload(self, app, version):
        """An upload whose event is lost: a look finds it, and the next one does not start it again."""
        self.look()
        with self.document("uploads/" + self.world.uploads_bucket, "mark") as seen:
            seen.update(first="2026-01-01T00:00:00Z", until="2026-01-01T00:00:00Z")
        self.world.aws.client("s3").put_object(Bucket=self.world.uploads_bucket, Key=f"drops/{app.name}/deps/{version}-lost.zip", Body=layer_zip(version))
        before = len(self.executions(app))
        self.look()
        self.look()
        listed = self.executions(app)
        self.assertEqual(len(listed), before + 1)
        return max(listed, key=lambda e: e["startDate"])["name"]

    def stop(self, app, version):
        """Stops the execution of a release that holds a lease."""
        _, (_, answer) = self.push(app, version, app.files(version, "first"))
        release = answer["releases"][0]
        until(lambda: self.entered(release, "AcquireLease"), 120, what="the lease")
        self.world.aws.aws("stepfunctions", "stop-execution", "--execution-arn", self.execution(release)["executionArn"])
        return release

    def swept(self, app):
        """The event of a stopped execution is lost: a sweep recovers the release, and the next sweeps not once more."""
        release = self.stop(app, "1.0.0-lost")
        time.sleep(2)
        self.assertEqual(len(self.executions(app)), 1, "nobody has noticed yet")
        # What was recorded just now may run without Step Functions' saying so yet.
        until(lambda: self.invoke("recover") and len(self.executions(app)) == 2, 210, pause=5, what="a sweep that finds it")
        self.invoke("recover")
        self.ends(release + "-r1", "FAILED", 400)
        self.invoke("recover")
        self.assertEqual(len(self.executions(app)), 2)

    # ---- What came of it. ----

    def entered(self, release, state):
        """Whether an execution has come to a state."""
        history = self.world.aws.client("stepfunctions").get_execution_history(executionArn=self.execution(release)["executionArn"])["events"]
        return any(e.get("stateEnteredEventDetails", {}).get("name") == state for e in history)

    @contextlib.contextmanager
    def document(self, partition, sort):
        """A document of the ledger, to look at and to change as somebody would leave it who dies on the way."""
        table, key = self.world.aws.client("dynamodb"), {"pk": {"S": partition}, "sk": {"S": sort}}
        item = table.get_item(TableName=self.world.table, Key=key, ConsistentRead=True)["Item"]
        before = item["body"]["S"]
        document = json.loads(before)
        yield document
        if document != json.loads(before):
            item.update(body={"S": json.dumps(document)}, version={"N": str(int(item["version"]["N"]) + 1)})
            table.put_item(TableName=self.world.table, Item=item, ConditionExpression="body = :before", ExpressionAttributeValues={
                ":before": {"S": before}})

    def state_of(self, release):
        with self.document("release/" + release, "record") as record:
            return record["state"]

    def waits(self, release):
        """Waits until a release asks for its approval."""
        until(lambda: self.state_of(release) == "waiting_approval", 240, what="the question")

    def releases(self, app):
        """The keys of an application's releases in the table."""
        found = self.world.aws.client("dynamodb").query(
            TableName=self.world.table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": "releases/" + app.name}})
        return [item["sk"]["S"] for item in found["Items"]]

    def check_settled(self, release):
        """Nobody looks after a release any more that has ended."""
        found = self.world.aws.client("dynamodb").get_item(TableName=self.world.table, Key={"pk": {"S": "active"}, "sk": {"S": release}}, ConsistentRead=True)
        self.assertNotIn("Item", found)

    def executions(self, app):
        listed = self.world.aws.aws("stepfunctions", "list-executions", "--state-machine-arn", self.world.machine)["executions"]
        return [e for e in listed if e["name"].startswith(app.name + "-")]

    def execution(self, name):
        arn = self.world.machine.replace(":stateMachine:", ":execution:") + ":" + name
        return self.world.aws.client("stepfunctions").describe_execution(executionArn=arn)

    def ends(self, name, status, seconds=300):
        """Waits for the end of an execution, which has to be the wanted one."""
        ended = until(lambda: (e := self.execution(name))["status"] != "RUNNING" and e, seconds, what="the end of " + name)
        self.assertEqual(ended["status"], status, f"{ended.get('error')}: {ended.get('cause')}\n" + "\n".join(self.failures_of(ended["executionArn"])))
        return ended

    def failures_of(self, arn):
        history = self.world.aws.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
        return [json.dumps(e, default=str)[:700] for e in history if "Failed" in e["type"] or "TimedOut" in e["type"]]

    def answer_of(self, app, account, region, qualifier="live"):
        out = self.world.aws.client("lambda", account, region).invoke(FunctionName=app.function, Qualifier=qualifier, Payload=b"{}")
        return json.load(out["Payload"])

    def alias(self, app, account, region):
        return self.world.aws.client("lambda", account, region).get_alias(FunctionName=app.function, Name="live")

    def layers(self, app, account, region, qualifier="live"):
        function = self.world.aws.client("lambda", account, region).get_function(FunctionName=app.function, Qualifier=qualifier)
        return [layer["Arn"] for layer in function["Configuration"].get("Layers", [])]

    def layer_versions(self, app, region):
        out = self.world.aws.aws("lambda", "list-layer-versions", "--layer-name", app.layer, region=region)
        return sorted(v["Version"] for v in out["LayerVersions"])

    def check_live(self, app, sites, version, library, layer_version):
        """Each site's alias answers with the version, and uses Tagboat's layer beside the one that it had."""
        for _, account, region in sites:
            with self.subTest(account=account, region=region):
                self.assertEqual(self.answer_of(app, account, region), {"statusCode": 200, "version": version, "library": library})
                self.assertEqual(self.layers(app, account, region), [
                    self.world.monitoring[region], f"arn:aws:lambda:{region}:{TOOLS}:layer:{app.layer}:{layer_version}"])
                self.assertFalse((self.alias(app, account, region).get("RoutingConfig") or {}).get("AdditionalVersionWeights"))

    def check_pruned(self, app, sites):
        """Of the versions 1.0.0 to 1.2.0 of an app that keeps one, the last is live and the one before it can be rolled back to."""
        for _, account, region in sites:
            with self.subTest(account=account, region=region):
                versions = self.world.aws.client("lambda", account, region).list_versions_by_function(FunctionName=app.function)["Versions"]
                made = [v["Description"].split()[1] for v in versions if v.get("Description", "").startswith(app.name + " ")]
                self.assertEqual(sorted(set(made)), ["1.1.0", "1.2.0"])
                self.assertEqual(self.layer_versions(app, region), [2, 3])
                self.check_pruned_archives(app, region)

    def check_pruned_archives(self, app, region):
        """Two archives of each of the last two versions, and the code by hand that a version of the function still has."""
        bucket = self.world.state_bucket if region == HOME else self.world.staging_bucket
        listed = self.world.aws.client("s3", TOOLS, region).list_object_versions(Bucket=bucket, Prefix=f"staged/{app.name}/")
        self.assertEqual(len(listed.get("Versions", [])), 5, listed)
        self.assertEqual(listed.get("DeleteMarkers", []), [])

    def check_untouched(self, app, sites):
        for _, account, region in sites:
            with self.subTest(account=account, region=region):
                self.assertEqual(self.answer_of(app, account, region), {"statusCode": 200, "version": "by hand"})
                self.assertEqual(self.alias(app, account, region)["FunctionVersion"], "1")
                for qualifier in ("live", "$LATEST"):
                    self.assertEqual(self.layers(app, account, region, qualifier), [self.world.monitoring[region]])

    def check_shared(self, app, region, version, sites=SITES):
        """Granted to the release's own accounts in the region and to whom both files name, and to nobody else."""
        policy = self.world.aws.aws("lambda", "get-layer-version-policy", "--layer-name", app.layer, "--version-number", str(version), region=region)
        own = {account for environment, account, r in sites if r == region and environment in app.environments}
        self.assertEqual(granted(json.loads(policy["Policy"])), {("Allow", "lambda:GetLayerVersion", who) for who in own | {PARTNER, ORGANIZATION}})

    def check_told(self, sha, app, state, deployments):
        """The commit's status, and the last status of the deployment of each environment."""
        statuses = [s for s in self.world.github.statuses(sha) if s["context"].endswith(app.name)]
        self.assertEqual(statuses[-1]["state"], state, statuses)
        told = {d["Environment"]: d["Statuses"][-1]["state"] for d in self.world.github.deployments(sha)}
        self.assertEqual(told, deployments)


def end_world():
    """Ends the world of a module, and fails if its roles were denied what they needed."""
    if Scenario.world:
        Scenario.world.end()


def sites(*environments):
    return [s for s in SITES if s[0] in environments]
