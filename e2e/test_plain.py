"""A release within one account, through `tagboat serve` on the plain, unpatched emulator."""
import json
import os
import tempfile
import unittest

from processes import BUILD, Processes, build
from test_serve import Server
from world import DEV, EMPTY, HOME, REPOSITORY, REPOSITORY_ID, TOOLS, App, Emulator, GitHub, archive, until

ORDERS = App("orders", ("dev",))


class PlainWorld:
    """One account: the tools account is the target, too."""

    def __init__(self):
        build()
        self.folder = tempfile.mkdtemp(prefix="tagboat-e2e-")
        self.processes = Processes(os.path.join(BUILD, "logs", "plain"))
        try:
            self.start()
        except BaseException:
            self.processes.close()
            raise

    def start(self):
        self.aws = Emulator(self.processes, plus=False)
        self.github = GitHub(self.processes)
        s3 = self.aws.client("s3")
        for bucket in ("tagboat-state", "tagboat-uploads"):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self.create_function()
        registry = os.path.join(self.folder, "registry.yaml")
        with open(registry, "w", encoding="utf-8") as file:
            json.dump({
                "tools": {"account": TOOLS, "regions": [HOME]},
                "environments": [{"name": "dev", "account": TOOLS, "regions": [HOME], "role": "tagboat-target", "external_id": "tagboat-dev"}],
                "apps": [dict(ORDERS.registered(), sharing={"accounts": [DEV]})],
            }, file)
        key = self.aws.admin(TOOLS)
        self.server = Server(self, {k.upper(): v for k, v in key.items()}, [
            "--registry", registry, "--bucket", "tagboat-state", "--uploads-bucket", "tagboat-uploads"])

    def create_function(self):
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
        role = self.aws.client("iam").create_role(RoleName="orders", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        functions = self.aws.client("lambda")
        functions.create_function(FunctionName=ORDERS.function, Runtime="python3.13", Handler="app.handler", Role=role,
                                  Code={"ZipFile": archive({"app.py": EMPTY})})
        functions.publish_version(FunctionName=ORDERS.function)
        functions.create_alias(FunctionName=ORDERS.function, Name="live", FunctionVersion="1")


def setUpModule():
    Plain.world = PlainWorld()


def tearDownModule():
    if Plain.world:
        Plain.world.processes.close()


class Plain(unittest.TestCase):
    world = None

    def test_a_tag_publishes_a_layer_and_moves_the_alias(self):
        """The code stays: the plain emulator gives no address from which the former code could be kept, and Tagboat changes
        no code that it could not give back. It runs no functions without Docker either: no smoke test."""
        manifest = json.loads(ORDERS.manifest(code=False))
        manifest["layers"][0]["share"] = {"accounts": [DEV]}
        del manifest["functions"][0]["smoke"]
        files = dict(ORDERS.files("1.0.0", "first"), **{ORDERS.name + "/tagboat.yaml": json.dumps(manifest)})
        self.world.github.tag(ORDERS.tag("1.0.0"), files)
        status, answer = self.world.server.deliver(self.world.github.delivery("push", ORDERS.tag("1.0.0")))
        self.assertEqual((status, answer["code"]), (202, "started"), answer)
        release = answer["releases"][0]
        view = until(lambda: (v := self.world.server.release(release))["state"] not in ("received", "running", "waiting", "rolling_back") and v, 120)
        self.assertEqual(view["state"], "succeeded", json.dumps(view, indent=1)[:3000])
        alias = self.world.aws.aws("lambda", "get-alias", "--function-name", ORDERS.function, "--name", "live")
        self.assertEqual(alias["FunctionVersion"], "2")
        function = self.world.aws.aws("lambda", "get-function", "--function-name", ORDERS.function, "--qualifier", "live")
        layer = f"arn:aws:lambda:{HOME}:{TOOLS}:layer:{ORDERS.layer}:1"
        self.assertEqual([used["Arn"] for used in function["Configuration"]["Layers"]], [layer])
        policy = self.world.aws.aws("lambda", "get-layer-version-policy", "--layer-name", ORDERS.layer, "--version-number", "1")
        self.assertIn(DEV, policy["Policy"])
        self.assertEqual(self.world.github.statuses(view["source"]["commit"])[-1]["state"], "success")


if __name__ == "__main__":
    unittest.main()
