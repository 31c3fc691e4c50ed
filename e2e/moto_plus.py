#!/usr/bin/env python3
"""moto's server with what it lacks of AWS for Tagboat's tests. usage: moto_plus.py -p PORT

Each patch says what AWS documents. The environment:
  MOTO_LAMBDA_FORWARD  http://HOST:PORT that answers the Invoke call of functions with a provided runtime
  MOTO_ORG             {"<account>": "<organisation id>"}
  MOTO_DELIVERIES      how often EventBridge delivers each event to a function; 1 if it is not set
  MOTO_IAM_LOG         a file that gets every decision of IAM (moto_iam.py)
"""
import copy
import functools
import io
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid
import zipfile
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
from botocore.config import Config

import moto.backends as moto_backends
import moto.awslambda.models as lambda_models
import moto.awslambda.policy as lambda_policy
import moto.awslambda.responses as lambda_responses
import moto.events.models as events_models
import moto.s3.notifications as s3_notifications
import moto.s3.responses as s3_responses
import moto.stepfunctions.parser.asl.component.state.exec.state_task.lambda_eval_utils as lambda_tasks
import moto.stepfunctions.parser.asl.component.common.path.result_path as result_paths
import moto.stepfunctions.parser.asl.utils.json_path as json_paths
import moto.stepfunctions.parser.backend.execution as execution_models
import moto.stepfunctions.parser.backend.execution_worker as execution_worker
import moto.stepfunctions.parser.models as parser_models
from moto.awslambda.exceptions import LambdaClientError, UnknownLayerVersionException
from moto.awslambda.utils import split_layer_arn
from moto.core.config import default_user_config
from moto.core.responses import ActionResult
from moto.events import events_backends
from moto.s3.models import s3_backends
from moto.sns.models import sns_backends
from moto.stepfunctions.models import StateMachine
from moto.sts.models import sts_backends

import moto_iam

FORWARD = os.environ.get("MOTO_LAMBDA_FORWARD", "")
PORT = os.environ.get("MOTO_PORT", "")


def client_error(status, code, message):
    error = LambdaClientError(code, message)
    error.code = status
    return error


# ---- Lambda: functions run. ----

def invoke(self, function_name, qualifier, body, headers, response_headers):
    """An invocation runs the function's code: provided runtimes at $MOTO_LAMBDA_FORWARD, Python's here."""
    function = self.get_function(function_name, qualifier)
    payload = body.encode() if isinstance(body, str) else body or b"{}"
    if headers.get("X-Amz-Invocation-Type") == "Event":
        threading.Thread(target=invoke_later, args=(function, payload), daemon=True).start()
        return b""
    answer, error = run(function, payload)
    if error:
        response_headers["x-amz-function-error"] = error
    response_headers["x-amz-executed-version"] = str(function.version) if qualifier else "$LATEST"
    response_headers["Content-Length"] = str(len(answer))
    return answer


def run(function, payload):
    """The answer, and "Unhandled" or "Handled" if the function failed."""
    if (function.run_time or "").startswith("provided"):
        return forward(function, payload)
    return run_python(function, payload)


def forward(function, payload):
    name = urllib.parse.quote(function.function_arn, safe="")
    request = urllib.request.Request(f"{FORWARD}/2015-03-31/functions/{name}/invocations", data=payload, method="POST")
    with urllib.request.urlopen(request, timeout=900) as response:
        return response.read(), response.headers.get("X-Amz-Function-Error")


PYTHON = """
import importlib, json, sys, traceback
module, name = sys.argv[1].rsplit(".", 1)
try:
    answer = getattr(importlib.import_module(module), name)(json.load(sys.stdin), None)
    print(json.dumps({"answer": answer}))
except BaseException as e:
    print(json.dumps({"error": {"errorType": type(e).__name__, "errorMessage": str(e), "stackTrace": traceback.format_tb(e.__traceback__)}}))
"""


# Timeouts are longer than in AWS: where tests run, many functions share few processors.
PATIENCE = 4


def run_python(function, payload):
    """Runs the code with its layers as the Python runtime does: layers are unpacked in their order into /opt, whose
    python folder is on the path (Lambda developer guide, Layers; Python runtime)."""
    with tempfile.TemporaryDirectory() as root:
        task, opt = os.path.join(root, "task"), os.path.join(root, "opt")
        for layer in function.layers:
            arn = split_layer_arn(layer["Arn"])
            version = lambda_models.lambda_backends[arn.account][arn.region].layers_versions_by_arn(layer["Arn"])
            unzip(version.code_bytes, opt)
        unzip(function.code_bytes, task)
        environment = {**(function.environment_vars or {}), "PATH": os.environ["PATH"],
                       "PYTHONPATH": os.pathsep.join([task, os.path.join(opt, "python")])}
        done = subprocess.run([sys.executable, "-c", PYTHON, function.handler], input=payload, env=environment,
                              capture_output=True, timeout=PATIENCE * int(function.timeout), cwd=root, check=False)
    result = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"error": {"errorType": "Runtime.ExitError"}}
    if "error" in result:
        return json.dumps(result["error"]).encode(), "Unhandled"
    return json.dumps(result["answer"]).encode(), None


def unzip(content, folder):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)


# An asynchronous invocation that fails is repeated twice, after one and two minutes; then its event goes to the
# dead-letter queue (developer guide, Asynchronous invocation). The waits are a hundredth here.
REPEATS = (0, 0.6, 1.2)


def invoke_later(function, payload):
    for pause in REPEATS:
        time.sleep(pause)
        answer, error = run(function, payload)
        if not error:
            return
    print("asynchronous invocation given up:", function.function_arn, answer.decode(), file=sys.stderr)
    dead_letter(function, payload)


def dead_letter(function, payload):
    """The queue is written with the rights of the function's role (developer guide, Dead-letter queues)."""
    target = getattr(function, "dead_letter", None)
    if target:
        account, name = target.split(":")[-2:]
        client_as("sqs", function.role, function.region).send_message(
            QueueUrl=f"http://127.0.0.1:{PORT}/{account}/{name}", MessageBody=payload.decode())


_new_function = lambda_models.LambdaFunction.__init__


def new_function(self, account_id, spec, region, version=1):
    _new_function(self, account_id, spec, region, version)
    self.dead_letter = (spec.get("DeadLetterConfig") or {}).get("TargetArn")


# ---- Lambda: code. ----

class Code:
    """GetFunction answers a presigned URL of the code (API reference, FunctionCodeLocation)."""

    def __init__(self):
        self.contents = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                content = outer.contents.get(self.path.strip("/"))
                self.send_response(200 if content is not None else 404)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, content):
        key = str(uuid.uuid4())
        self.contents[key] = content
        return f"http://127.0.0.1:{self.server.server_port}/{key}"


CODE = Code()
_get_code = lambda_models.LambdaFunction.get_code


def get_code(self):
    answer = _get_code(self)
    if "Location" in answer.get("Code", {}):
        answer["Code"]["Location"] = CODE.url(self.code_bytes)
    return answer


_set_code = lambda_models.LambdaFunction._set_function_code


def set_code(self, spec):
    """S3ObjectVersion says which version of the object is the code (API reference, UpdateFunctionCode)."""
    _set_code(self, spec)
    if not spec.get("DryRun") and "S3Key" in spec and "ZipFile" not in spec and spec.get("S3ObjectVersion"):
        self.code_bytes, self.code_size, self.code_sha_256, self.code_digest = versioned(self.account_id, spec)


def versioned(account, spec):
    key = s3_backends[account]["aws"].get_object(spec["S3Bucket"], spec["S3Key"], version_id=spec["S3ObjectVersion"])
    if key is None:
        raise client_error(400, "InvalidParameterValueException",
                           "Error occurred while GetObject. S3 Error Code: NoSuchVersion.")
    return lambda_models._s3_content(key)


def update_function_code(self, function_name, qualifier, body):
    """Once: 5.2.1 writes the code twice."""
    function = self.get_function(function_name, qualifier)
    function.update_function_code(body)
    if body.get("Publish", False):
        function = self.publish_version(function_name)
    return function.get_configuration()


_new_layer_version = lambda_models.LayerVersion.__init__


def new_layer_version(self, spec, account_id, region):
    _new_layer_version(self, spec, account_id, region)
    if self.content.get("S3ObjectVersion"):
        self.code_bytes, self.code_size, self.code_sha_256, self.code_digest = versioned(account_id, self.content)


# ---- Lambda: layers of other accounts. ----

def layer_version(arn, account, region):
    """A layer version of another account, if its policy grants the account (developer guide, Granting layer access to
    other accounts). AWS tells neither whether it exists nor why not."""
    of = split_layer_arn(arn)
    refusal = client_error(403, "AccessDeniedException",
                           f"User in account {account} is not authorized to perform: lambda:GetLayerVersion on resource: {arn} "
                           "because no resource-based policy allows the lambda:GetLayerVersion action")
    if of.region != region:
        raise refusal
    version = lambda_models.lambda_backends[of.account][of.region].layers_versions_by_arn(arn)
    if of.account == account:
        if version is None:
            raise UnknownLayerVersionException([arn])
        return version
    if version is None or not any(grants(s, account) for s in version.policy.statements):
        raise refusal
    return version


def grants(statement, account):
    principal = statement.get("Principal")
    principal = principal.get("AWS", principal) if isinstance(principal, dict) else principal
    if principal not in ("*", account, f"arn:aws:iam::{account}:root"):
        return False
    organization = statement.get("OrganizationId")
    return organization is None or moto_iam.ORGANIZATIONS.get(account) == organization


def layers_data(self, arns):
    versions = [layer_version(arn, self.account_id, self.region) for arn in arns]
    return [{"Arn": version.arn, "CodeSize": version.code_size} for version in versions]


_list_layers = lambda_responses.LambdaResponse.list_layers


def list_layers(self):
    """GetLayerVersionByArn is GET /2018-10-31/layers?find=LayerVersion&Arn=… (API reference)."""
    if self.querystring.get("find") == ["LayerVersion"]:
        return json.dumps(layer_version(self.querystring["Arn"][0], self.current_account, self.region).get_layer_version())
    return _list_layers(self)


_add_statement = lambda_policy.Policy.add_statement


def add_statement(self, raw, qualifier=None):
    """A statement id is used once (API reference, AddLayerVersionPermission: ResourceConflictException)."""
    sid = json.loads(raw).get("StatementId")
    if any(s.get("Sid") == sid for s in self.statements):
        raise client_error(409, "ResourceConflictException", f"The statement id ({sid}) provided already exists.")
    return _add_statement(self, raw, qualifier)


# ---- EventBridge. ----

# Events are delivered at least once (EventBridge user guide); MOTO_DELIVERIES says how often.
DELIVERIES = int(os.environ.get("MOTO_DELIVERIES", "1"))

_send_to_targets = events_models.Rule.send_to_targets


def send_to_targets(self, original_event, transform_input=True):
    """Rules also deliver to Lambda functions, asynchronously, if the function's policy lets them (EventBridge user
    guide, Targets and Resource-based policies). A rule with a schedule and no pattern matches no event; 5.2.1 takes it to
    match all."""
    if self.state != "ENABLED" or not self.event_pattern.get_pattern() or not self.event_pattern.matches_event(original_event):
        return
    functions = [t for t in self.targets if t["Arn"].split(":")[2] == "lambda"]
    topics = [t for t in self.targets if t["Arn"].split(":")[2] == "sns"]
    others = copy.copy(self)
    others.targets = [t for t in self.targets if t not in functions + topics]
    _send_to_targets(others, original_event, transform_input)
    for target in topics:
        publish(self, target, original_event)
    event = dict(original_event)
    if isinstance(event.get("time"), float):
        event["time"] = datetime.fromtimestamp(event["time"], timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    for target in functions:
        function = lambda_models.lambda_backends[self.account_id][self.region_name].get_function(target["Arn"])
        if not may_invoke(function, self.arn, target["Arn"]):
            print("rule", self.arn, "may not invoke", target["Arn"], file=sys.stderr)
            continue
        for _ in range(DELIVERIES):
            threading.Thread(target=invoke_later, args=(function, json.dumps(event).encode()), daemon=True).start()


def publish(rule, target, event):
    """A topic gets what the input transformer makes of an event, if its policy lets the rule publish (EventBridge user
    guide, Input transformation and Resource-based policies)."""
    backend = sns_backends[rule.account_id][rule.region_name]
    statements = json.loads(backend.get_topic(target["Arn"]).policy)["Statement"]
    if not any(s["Principal"] == {"Service": "events.amazonaws.com"} and s["Effect"] == "Allow"
               and moto_iam.applies(s, "sns:Publish", target["Arn"], {"aws:SourceArn": rule.arn}) for s in statements):
        print("rule", rule.arn, "may not publish to", target["Arn"], file=sys.stderr)
        return
    backend.publish(arn=target["Arn"], message=transformed(target["InputTransformer"], event))


def transformed(transformer, event):
    """The text of a template whose <names> stand for values of the event."""
    text = transformer["InputTemplate"]
    for name, path in transformer["InputPathsMap"].items():
        value = event
        for part in path.split(".")[1:]:
            value = value[part]
        text = text.replace(f"<{name}>", json.dumps(value)[1:-1])  # a text within a text
    return json.loads(text)


def may_invoke(function, rule, target):
    latest = lambda_models.lambda_backends[function.account_id][function.region].get_function(function.function_name)
    for statement in latest.policy.statements:
        source = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn")
        if (statement["Effect"] == "Allow" and statement["Action"] == "lambda:InvokeFunction" and statement["Resource"] == target
                and statement["Principal"] == {"Service": "events.amazonaws.com"} and source in (None, rule)):
            return True
    return False


def put_event(account, region, source, kind, resources, detail):
    event = {
        "version": "0", "id": str(uuid.uuid4()), "detail-type": kind, "source": source, "account": account,
        "time": time.time(),  # moto's own targets take seconds
        "region": region, "resources": resources, "detail": detail,
    }
    for bus in events_backends[account][region].event_buses.values():
        for rule in list(bus.rules.values()):
            rule.send_to_targets(copy.deepcopy(event), transform_input=False)


# Not about AWS: what the tests name with it raises no event, as if the event were lost; an object is as old as if it had
# been lost a while ago.
LOST = "-lost"
LOST_SINCE = timedelta(minutes=6)

REASONS = {"Put": "PutObject", "Post": "POST Object", "Copy": "CopyObject", "CompleteMultipartUpload": "CompleteMultipartUpload"}


def object_event(account_id, bucket, event_name, key):
    """The event as S3 sends it: etag in lower case, one id for each event, a sequencer that grows (S3 user guide,
    EventBridge event message structure)."""
    if LOST in key.name:
        key.last_modified -= LOST_SINCE
        return
    put_event(account_id, bucket.region_name, "aws.s3", s3_notifications._detail_type(event_name), [bucket.arn], {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {
            "key": key.name, "size": key.size, "etag": key.etag.replace('"', ""), "version-id": key.version_id,
            "sequencer": f"{time.time_ns():016X}",
        },
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": account_id,
        "source-ip-address": "192.0.2.10",
        "reason": REASONS.get(event_name.split(":")[-1], event_name),
    })


_get_bucket_notification = s3_responses.S3Response.get_bucket_notification


def get_bucket_notification(self):
    """Events for EventBridge are an element of the answer (API reference, GetBucketNotificationConfiguration)."""
    configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
    if not configuration or configuration.event_bridge is None:
        return _get_bucket_notification(self)
    self.data["Action"] = "GetBucketNotificationConfiguration"
    return self.serialized(ActionResult({"EventBridgeConfiguration": {}}))


# ---- Step Functions. ----

_start_execution = parser_models.StepFunctionsParserBackend.start_execution


def start_execution(self, state_machine_arn, name=None, *args, **kwargs):
    """An execution without a name gets a UUID (API reference, StartExecution); 5.2.1 calls it None."""
    return _start_execution(self, state_machine_arn, name or str(uuid.uuid4()), *args, **kwargs)


_terminated = execution_models.BaseExecutionWorkerCommunication.terminated


def terminated(self):
    """The end of an execution is an event (developer guide, EventBridge: Step Functions Execution Status Change)."""
    _terminated(self)
    execution = self.execution
    if LOST in execution.name:
        return
    put_event(execution.account_id, execution.region_name, "aws.states", "Step Functions Execution Status Change",
              [execution.exec_arn], {
                  "executionArn": execution.exec_arn, "stateMachineArn": execution.state_machine_arn,
                  "name": execution.name, "status": str(execution.exec_status.value),
              })


_sessions = {}
_sessions_lock = threading.Lock()


def client_as(service, role_arn, region):
    """A client with a session of a role, as a service takes it on behalf of its resource."""
    account = role_arn.split(":")[4]
    with _sessions_lock:
        if (service, role_arn, region) not in _sessions:
            session = sts_backends[account]["aws"].assume_role(region, service, role_arn, None, 3600, None)
            _sessions[service, role_arn, region] = boto3.client(
                service, region_name=region, endpoint_url=f"http://127.0.0.1:{PORT}",
                aws_access_key_id=session.access_key_id, aws_secret_access_key=session.secret_access_key,
                aws_session_token=session.session_token,
                config=Config(parameter_validation=False, retries={"total_max_attempts": 1}, read_timeout=900,
                              max_pool_connections=50),
            )
        return _sessions[service, role_arn, region]


def boto_client_for(region, service, state_credentials=None):
    """Tasks act with the state machine's role, or with the one of their Credentials (developer guide, Creating an IAM
    role for your state machine)."""
    return client_as(service, state_credentials.role_arn, region)


def hasten():
    """Not about AWS: what 5.2.1 works out anew for each request, path or execution, and writes for each request."""
    for holder in (json_paths, result_paths, execution_worker.AmazonStateLanguageParser):
        holder.parse = functools.lru_cache(maxsize=None)(holder.parse)
    modules = list(moto_backends.list_of_moto_modules())
    moto_backends.list_of_moto_modules = lambda: modules
    logging.getLogger("werkzeug").setLevel(logging.ERROR)


def install():
    backend, function = lambda_models.LambdaBackend, lambda_models.LambdaFunction
    backend.invoke, backend.update_function_code = invoke, update_function_code
    function.__init__, function.get_code = new_function, get_code
    function._set_function_code, function._get_layers_data = set_code, layers_data
    lambda_models.LayerVersion.__init__ = new_layer_version
    lambda_responses.LambdaResponse.list_layers = list_layers
    lambda_policy.Policy.add_statement = add_statement
    events_models.Rule.send_to_targets = send_to_targets
    s3_notifications._send_event_bridge_message = object_event
    s3_responses.S3Response.get_bucket_notification = get_bucket_notification
    # 5.2.1 copies the whole backend for each execution and fails at its locks.
    StateMachine.__deepcopy__ = lambda self, memo: copy.copy(self)
    parser_models.StepFunctionsParserBackend.start_execution = start_execution
    execution_models.BaseExecutionWorkerCommunication.terminated = terminated
    lambda_tasks.boto_client_for = boto_client_for
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    moto_iam.install()
    hasten()


if __name__ == "__main__":
    from moto.server import main

    PORT = PORT or sys.argv[sys.argv.index("-p") + 1]
    install()
    main()
