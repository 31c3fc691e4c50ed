"""The world of the end-to-end tests: Tagboat deployed from its template on the emulator, target accounts from theirs,
functions in them, and a GitHub."""
import fnmatch
import hashlib
import hmac
import io
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
import zipfile

import boto3
from botocore.config import Config

import samx
from cloudformation import Stack
from processes import BUILD, HERE, ROOT, Processes, binary, build, free_port, python, wait_for

HOME, EUROPE = "us-east-1", "eu-west-1"
TOOLS = "123456789012"  # the account of the emulator's callers without credentials, its services among them
DEV, STAGING, PROD, PARTNER = "111111111111", "222222222222", "333333333333", "444444444444"
ORGANIZATION = "o-abc1234567"
STACK = "tagboat"
ROLE = "tagboat-target"

REPOSITORY_ID, REPOSITORY = 186853002, "acme/orders"
WEBHOOK_SECRET = "e2e-webhook-secret"
GITHUB_TOKEN = "e2e-github-token"

# Environment, account and region of everything that releases go to.
SITES = (("dev", DEV, HOME), ("staging", STAGING, HOME), ("prod", PROD, HOME), ("prod", PROD, EUROPE))
TARGETS = {"dev": DEV, "staging": STAGING, "prod": PROD}

# What roles ask for although they are denied it, and why that is as it should be. Every other denial fails the tests:
# something that the roles do not allow is tried, and what becomes of it may not be seen in the end.
DENIALS = (
    ("doctor", "sts:AssumeRole", "arn:aws:iam::*:role/tagboat-target", "tries the role without its external id"),
    ("stage", "s3:ListBucket", "arn:aws:s3:::tagboat-sta*", "looks whether code is staged; who may not list is denied what is not there"),
    ("update", "s3:ListBucket", "arn:aws:s3:::tagboat-sta*", "the same for code that is kept"),
    ("rollback", "s3:ListBucket", "arn:aws:s3:::tagboat-sta*", "the same for code that is kept"),
)
# The sessions of tests that provoke denials have this name.
PROBE = "probe"

EMPTY = "def handler(event, context):\n    return {'statusCode': 200, 'version': 'by hand'}\n"


def archive(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in sorted(files.items()):
            z.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


class Emulator:
    """An emulator process, and clients for it."""

    def __init__(self, processes, plus=True, environment=None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        program = [python(), os.path.join(HERE, "moto_plus.py")] if plus else ["moto_server"]
        processes.start("emulator" if plus else "moto", [*program, "-p", str(self.port)],
                        dict(os.environ, MOTO_PORT=str(self.port), **(environment or {})))
        wait_for(self.url + "/moto-api/data.json")
        self.credentials = {}
        self.clients = {}
        self.lock = threading.RLock()

    def client(self, service, account=TOOLS, region=HOME):
        key = (service, account, region)
        with self.lock:
            if key not in self.clients:
                self.clients[key] = self.client_with(self.admin(account), service, region)
            return self.clients[key]

    def client_with(self, credentials, service, region=HOME):
        return boto3.client(service, region_name=region, endpoint_url=self.url,
                            config=Config(retries={"total_max_attempts": 2}, max_pool_connections=30, read_timeout=600), **credentials)

    def admin(self, account):
        """Credentials of a user with all rights in an account; made while nothing is enforced yet."""
        if account not in self.credentials:
            anybody = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
            session = self.session(f"arn:aws:iam::{account}:role/setup", "setup", anybody)
            iam = self.client_with(session, "iam")
            iam.create_user(UserName="admin")
            everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
            iam.put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=json.dumps(everything))
            key = iam.create_access_key(UserName="admin")["AccessKey"]
            self.credentials[account] = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        return self.credentials[account]

    def session(self, role, name, credentials, **more):
        made = self.client_with(credentials, "sts").assume_role(RoleArn=role, RoleSessionName=name, **more)["Credentials"]
        return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"],
                "aws_session_token": made["SessionToken"]}

    def service_session(self, role_arn, service):
        """A session of a role as a service takes it, if the role trusts the service."""
        account, name = role_arn.split(":")[4], role_arn.split("/")[-1]
        trust = self.client("iam", account).get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        services = [s["Principal"].get("Service") for s in trust["Statement"] if s["Action"] == "sts:AssumeRole"]
        if service not in services:
            raise ValueError(f"role {name} does not trust {service}")
        return self.session(role_arn, service, self.admin(TOOLS))

    def enforce_iam(self):
        request = urllib.request.Request(self.url + "/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(request, timeout=10).close()

    def aws(self, *arguments, account=TOOLS, region=HOME):
        """The AWS CLI with an account's administrator."""
        key = self.admin(account)
        environment = dict(os.environ, AWS_ACCESS_KEY_ID=key["aws_access_key_id"], AWS_SECRET_ACCESS_KEY=key["aws_secret_access_key"],
                           AWS_DEFAULT_REGION=region, AWS_ENDPOINT_URL=self.url, AWS_PAGER="")
        done = subprocess.run(["aws", *arguments], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"aws {' '.join(arguments)}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout


class GitHub:
    def __init__(self, processes):
        environment = dict(os.environ, GITHUB_TOKEN=GITHUB_TOKEN, WEBHOOK_SECRET=WEBHOOK_SECRET)
        self.url = "http://" + processes.start(
            "githubhost", [binary("githubhost"), "-repository", str(REPOSITORY_ID), "-name", REPOSITORY], environment, address=True)

    def call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + "/control/" + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def tag(self, tag, files):
        """Commits files to main, tags the commit, and gives its sha."""
        sha = self.call("POST", "commit", {"branch": "main", "message": "Release " + tag, "files": files})["sha"]
        self.call("POST", "tag", {"name": tag, "sha": sha})
        return sha

    def delivery(self, event, tag):
        """A webhook as GitHub sends it, signed here: HMAC-SHA256 over its bytes (GitHub docs, Validating webhook deliveries)."""
        made = self.call("POST", "delivery", {"event": event, "tag": tag})
        headers = {name: value for name, value in made["headers"].items() if not name.startswith("X-Hub-Signature")}
        return {"headers": dict(headers, **{"X-Hub-Signature-256": signature(made["body"])}), "body": made["body"]}

    def app(self):
        """The credentials of an app that is installed in the repository."""
        return self.call("GET", "app")

    def checks(self, sha):
        return self.call("GET", "checks?sha=" + sha)

    def deployments(self, sha):
        return [d for d in self.call("GET", "deployments") or [] if d["SHA"] == sha]

    def statuses(self, sha):
        return self.call("GET", "statuses?sha=" + sha) or []


def signature(body, algorithm="sha256"):
    """The signature of a body, as a header has it."""
    return f"{algorithm}=" + hmac.new(WEBHOOK_SECRET.encode(), body.encode(), getattr(hashlib, algorithm)).hexdigest()


class World:
    """Everything, ready for releases."""

    def __init__(self, name, apps, environments=(), functions=None, github_app=False, parameters=None, hasty=False):
        """The name is that of the logs' folder; apps are those that the registry knows; environments are added to those of
        TARGETS. functions are the names that target accounts allow; by default those of the apps. The stack authenticates
        at GitHub with a token, or as an app; parameters are more ones of its template. hasty is for runs in which most
        releases fail: the state machine repeats a task once, after a second."""
        build()
        self.apps, self.more_environments = list(apps), environments
        self.github_app, self.parameters, self.hasty = github_app, parameters or {}, hasty
        self.allowed = functions or ",".join(app.name + "-*" for app in apps)
        self.folder = tempfile.mkdtemp(prefix="tagboat-e2e-")
        self.processes = Processes(os.path.join(BUILD, "logs", name))
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        self.iam_log = os.path.join(self.folder, "iam.jsonl")
        self.hosted = os.path.join(self.folder, "functions.json")
        self.host = self.processes.start("lambdahost", [binary("lambdahost"), "-config", self.hosted, "-logs", self.processes.logs], address=True)
        self.aws = Emulator(self.processes, environment={
            "MOTO_LAMBDA_FORWARD": "http://" + self.host, "MOTO_IAM_LOG": self.iam_log, "MOTO_DELIVERIES": "2",
            "MOTO_ORG": json.dumps({account: ORGANIZATION for account in (TOOLS, *TARGETS.values())}),
        })
        self.github = GitHub(self.processes)
        for account in (TOOLS, PARTNER, *TARGETS.values()):
            self.aws.admin(account)
        self.deploy_tools()
        self.deploy_targets()
        self.host_functions()
        self.put_registry()
        self.aws.enforce_iam()

    def decisions(self, since=0):
        """What IAM decided since an offset of its log."""
        with open(self.iam_log, encoding="utf-8") as log:
            log.seek(since)
            return [json.loads(line) for line in log if line.endswith("\n")]

    def unexpected(self, since=0):
        """Denials that no test provoked and that DENIALS does not explain, as sentences."""
        denied = {(d["who"].split(":", 5)[-1], d["action"], d["resource"]) for d in self.decisions(since) if not d["allowed"]
                  and ":assumed-role/" in d["who"] and not d["who"].endswith("/" + PROBE)}
        return sorted(f"{who} was denied {action} on {resource}" for who, action, resource in denied if not any(
            who.startswith(f"assumed-role/{STACK}-{role}/") and action == known and fnmatch.fnmatchcase(resource, pattern)
            for role, known, pattern, _ in DENIALS))

    def end(self):
        """Ends it, and fails if a role was denied what it needed."""
        try:
            unexpected = self.unexpected()
        finally:
            self.close()
        if unexpected:
            raise AssertionError("IAM denied what nobody expected it to:\n" + "\n".join(unexpected))

    def close(self):
        self.processes.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- Deployed from the templates. ----

    def stack(self, path, name, account, region, parameters):
        template = samx.plain(os.path.join(ROOT, path))
        if self.hasty:
            hasten(template)
        return Stack(template, name, account, region, lambda service: self.aws.client(service, account, region), parameters,
                     code=lambda function: archive({"bootstrap": f"run by lambdahost: {function}"})).create()

    def deploy_tools(self):
        secrets = self.aws.client("secretsmanager")
        # A trailing newline, as editors leave it, is no part of a secret.
        webhook = secrets.create_secret(Name="tagboat/webhook", SecretString=WEBHOOK_SECRET + "\n")["ARN"]
        credentials = json.dumps(self.github.app()) if self.github_app else GITHUB_TOKEN + "\n"
        github = secrets.create_secret(Name="tagboat/github", SecretString=credentials)["ARN"]
        targets = ",".join(TARGETS.values())
        self.tools = self.stack("template.yaml", STACK, TOOLS, HOME, {
            "WebhookSecretArn": webhook, "GitHubSecretArn": github, "GitHubApiUrl": self.github.url + "/api/v3",
            "TargetAccounts": targets, "OrganizationId": ORGANIZATION, **self.parameters,
        })
        self.europe = self.stack("iam/region.yaml", STACK + "-eu", TOOLS, EUROPE,
                                 {"ToolsStack": STACK, "TargetAccounts": targets, "OrganizationId": ORGANIZATION})
        outputs = self.tools.outputs()
        self.state_bucket, self.uploads_bucket = outputs["StateBucketName"], outputs["UploadsBucketName"]
        self.machine, self.table = outputs["StateMachineArn"], outputs["LedgerTableName"]
        self.staging_bucket = self.europe.outputs()["StagingBucketName"]
        self.tell_stack(outputs)

    def tell_stack(self, outputs):
        """The stack's resources were made one by one; a stack of its name tells its outputs and parameters, as CloudFormation
        would."""
        parameters = {name: str(value) for name, value in self.tools.parameters.items()}
        template = {"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}},
                    "Parameters": {name: {"Type": "String", "Default": value} for name, value in parameters.items()},
                    "Outputs": {name: {"Value": value} for name, value in outputs.items()}}
        self.aws.client("cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps(template), Parameters=[
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()])

    def command(self, *arguments):
        """The tagboat command on the stack, with the credentials of an administrator."""
        key = self.aws.admin(TOOLS)
        environment = {
            "PATH": os.environ["PATH"], "HOME": self.folder, "USER": "carol", "AWS_REGION": HOME, "AWS_ENDPOINT_URL": self.aws.url,
            "AWS_ACCESS_KEY_ID": key["aws_access_key_id"], "AWS_SECRET_ACCESS_KEY": key["aws_secret_access_key"], "TAGBOAT_STACK": STACK}
        return subprocess.run([binary("tagboat"), *arguments], env=environment, capture_output=True, text=True, check=False, cwd=ROOT)

    def deploy_targets(self):
        for environment, account in TARGETS.items():
            self.stack("iam/target-account.yaml", "tagboat-target", account, HOME, {
                "ToolsAccount": TOOLS, "ToolsStack": STACK, "ExternalId": "tagboat-" + environment,
                "RoleName": ROLE, "FunctionNames": self.allowed,
            })
        self.monitoring = {region: self.publish_monitoring(region) for region in (HOME, EUROPE)}
        for _, account, region in SITES:
            for app in self.apps:
                self.create_function(app.function, account, region)
            self.create_function("foreign-api", account, region)

    def publish_monitoring(self, region):
        """A layer of somebody else, that everybody may use: functions have it besides Tagboat's."""
        functions = self.aws.client("lambda", PARTNER, region)
        made = functions.publish_layer_version(LayerName="monitoring", Content={"ZipFile": archive({"python/monitoring.py": "ON = True\n"})})
        functions.add_layer_version_permission(LayerName="monitoring", VersionNumber=made["Version"], StatementId="everyone",
                                               Action="lambda:GetLayerVersion", Principal="*")
        return made["LayerVersionArn"]

    def create_function(self, name, account, region, code=EMPTY):
        """A function as somebody made it by hand: version 1 behind the alias live."""
        iam, functions = self.aws.client("iam", account), self.aws.client("lambda", account, region)
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
        try:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        except iam.exceptions.EntityAlreadyExistsException:
            pass  # made for another region
        variables = {"LOG_LEVEL": "info", **({"ONLY_IN_DEV": "yes"} if account == DEV else {})}
        functions.create_function(
            FunctionName=name, Runtime="python3.13", Handler="app.handler", Role=f"arn:aws:iam::{account}:role/{name}", Timeout=10,
            Code={"ZipFile": archive({"app.py": code})}, Layers=[self.monitoring[region]],
            Environment={"Variables": variables})
        version = functions.publish_version(FunctionName=name)["Version"]
        functions.create_alias(FunctionName=name, Name="live", FunctionVersion=version)

    def host_functions(self):
        """Tells the Lambda host what the template says of each function; what AWS would set is added: region, role, endpoint."""
        functions, self.sessions, self.probes = {}, {}, {}
        for logical, p in self.tools.functions().items():
            role = self.sessions[p["FunctionName"]] = self.aws.service_session(p["Role"], "lambda.amazonaws.com")
            self.probes[p["FunctionName"]] = self.aws.session(p["Role"], PROBE, self.aws.admin(TOOLS))
            environment = dict(p.get("Environment", {}).get("Variables", {}))
            environment.update({
                "AWS_REGION": HOME, "AWS_DEFAULT_REGION": HOME, "AWS_ENDPOINT_URL": self.aws.url,
                "AWS_ACCESS_KEY_ID": role["aws_access_key_id"], "AWS_SECRET_ACCESS_KEY": role["aws_secret_access_key"],
                "AWS_SESSION_TOKEN": role["aws_session_token"], "TMPDIR": self.folder,
            })
            functions[p["FunctionName"]] = {
                "bootstrap": os.path.join(BUILD, "functions", logical.removesuffix("Function").lower()),
                "environment": environment, "timeout": p["Timeout"],
            }
        release = f"{STACK}-release"
        self.probes[release] = self.aws.session(f"arn:aws:iam::{TOOLS}:role/{release}", PROBE, self.aws.admin(TOOLS))
        with open(self.hosted, "w", encoding="utf-8") as file:
            json.dump({"functions": functions}, file)

    def cold(self, function=""):
        """Ends the idle processes of a function, or of all: the next invocations start cold."""
        urllib.request.urlopen(urllib.request.Request(f"http://{self.host}/idle/{function}", method="DELETE"), timeout=30).close()

    def answered(self, function):
        """The payloads of the invocations that a function has answered."""
        with urllib.request.urlopen(f"http://{self.host}/answered/{function}", timeout=30) as response:
            return json.load(response)

    # ---- Configured by the platform team. ----

    def registry(self):
        regions = {}
        for environment, _, region in SITES:
            regions.setdefault(environment, []).append(region)
        environments = [{"name": name, "account": account, "regions": regions[name], "role": ROLE, "external_id": "tagboat-" + name}
                        for name, account in TARGETS.items()]
        return {
            "organization": ORGANIZATION,
            "tools": {"account": TOOLS, "regions": [HOME, EUROPE], "buckets": {EUROPE: self.staging_bucket}},
            "environments": environments + list(self.more_environments),
            "apps": [app.registered() for app in self.apps],
        }

    def put_registry(self):
        s3 = self.aws.client("s3")
        s3.put_object(Bucket=self.state_bucket, Key="config/registry.yaml", Body=json.dumps(self.registry(), indent=1).encode())
        for app in list(self.apps):
            s3.put_object(Bucket=self.state_bucket, Key=f"manifests/{app.name}.yaml", Body=app.manifest(code=False).encode())


def hasten(template):
    """Cuts every Retry of the state machines short."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            cut(resource["Properties"])


def cut(node):
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        cut(item)
    for retry in node.get("Retry", []) if isinstance(node, dict) else ():
        retry.update(IntervalSeconds=1, MaxAttempts=1)


class App:
    """An application of the one repository: its own tags, manifest, functions and layer, so that releases of different
    applications have nothing to do with each other."""

    def __init__(self, name, environments=("dev", "staging", "prod")):
        self.name, self.environments = name, environments
        self.settings = {}  # further fields of the registry
        self.sharing = {"accounts": [PARTNER], "organization": True}
        self.keep = {}  # of the function and of the layer
        self.function, self.layer = name + "-api", name + "-deps"

    def registered(self):
        return {
            "name": self.name, "repository": {"id": REPOSITORY_ID, "name": REPOSITORY}, "tags": self.name + "-v{version}",
            "branches": ["main"], "environments": list(self.environments), "resources": [self.name + "-*"],
            "manifest": self.name + "/tagboat.yaml", "drop_manifest": f"manifests/{self.name}.yaml",
            "sharing": {"accounts": [PARTNER], "organization": True}, **self.settings,
        }

    def tag(self, version):
        return f"{self.name}-v{version}"

    def manifest(self, code=None, deps=None, **function):
        """The application's tagboat.yaml. With code=False, only the layer changes."""
        code = {"archive": self.name + "/src"} if code is None else code
        artifacts = {"deps": deps or {"archive": self.name + "/layer"}}
        api = {"name": self.function, "layers": [self.layer], "alias": "live",
               "smoke": {"payload": {"ping": True}, "expect": {"statusCode": 200}}, **self.keep, **function}
        if code:
            artifacts["code"], api["artifact"] = code, "code"
        return json.dumps({
            "app": self.name, "artifacts": artifacts,
            "layers": [{"name": self.layer, "artifact": "deps", "runtimes": ["python3.13"], "architectures": ["x86_64"],
                        "share": self.sharing, **self.keep}],
            "functions": [api],
        }, indent=1)  # JSON is YAML

    def files(self, version, library, needs=None, **function):
        """The repository at a version."""
        return {self.name + "/tagboat.yaml": self.manifest(**function), self.name + "/src/app.py": handler(self.name, version, needs),
                self.name + "/layer/python/library.py": f"VERSION = {library!r}\n"}


def handler(app, version, needs=None):
    """app.py: it imports its layers, tells its version, and wants an environment variable if one is named. No two applications
    have the same code: an archive is not pruned whose bytes any function in the account has."""
    wanted = f"os.environ[{needs!r}]" if needs else "None"
    return (f'"""The code of {app}."""\nimport os\n\nimport library\nimport monitoring\n\n\ndef handler(event, context):\n'
            f"    {wanted}\n    return {{'statusCode': 200, 'version': {version!r}, 'library': library.VERSION}}\n")


def layer_zip(version):
    return archive({"python/library.py": f"VERSION = {version!r}\n"})


def http_event(delivery, path="/webhooks/github"):
    """What an HTTP API hands to its function for a delivery, header names in lower case (API Gateway developer guide,
    payload format version 2.0)."""
    return {
        "version": "2.0", "routeKey": "POST " + path, "rawPath": path, "rawQueryString": "",
        "headers": {name.lower(): value for name, value in delivery["headers"].items()},
        "requestContext": {"accountId": TOOLS, "stage": "$default", "requestId": "e2e",
                           "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.20", "userAgent": "GitHub-Hookshot"},
                           "time": "15/Jan/2026:09:30:00 +0000", "timeEpoch": 1768469400000},
        "body": delivery["body"], "isBase64Encoded": False,
    }


class Patience:
    """How long is waited for what may never come: longer where others use the machine, too, but not where it is known
    already that it will not come."""

    FACTOR = 4
    lost = staticmethod(lambda: False)
    REST = 20  # seconds


def until(condition, seconds=120, pause=0.3, what=""):
    """The first true value of a condition, which takes so many seconds at most on an idle machine."""
    began = time.monotonic()
    end = began + Patience.FACTOR * seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {time.monotonic() - began:.0f} s for {what or condition}")
        if Patience.lost():
            end = min(end, time.monotonic() + Patience.REST)
        time.sleep(pause)
