"""IAM as AWS documents it, for the emulator of moto_plus.

moto checks actions, but resources and conditions only in part, and neither
session policies nor trust across accounts. This module decides requests by the
rules of the IAM user guide ("Policy evaluation logic"): an explicit deny wins;
a request needs an allow from the caller's own policies, narrowed by the session
policy; a resource's policy adds to that in one account and has to agree across
accounts. It also asks for what a service does with its caller's rights.

Enforcement is switched on as in plain moto, POST /moto-api/reset-auth with the
text "0". Every decision is a line of $MOTO_IAM_LOG, those that allow once.
"""
import functools
import json
import os
import re
from urllib.parse import parse_qs, unquote, urlparse

import moto.iam.access_control as access
import moto.s3.models as s3_models
import moto.s3.responses as s3_responses
from moto.awslambda.models import lambda_backends
from moto.awslambda.responses import LambdaResponse
from moto.core.exceptions import AccessDeniedError, JsonRESTError
from moto.dynamodb.models import dynamodb_backends
from moto.iam.models import iam_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from moto.sts.models import sts_backends

ORGANIZATIONS = json.loads(os.environ.get("MOTO_ORG", "{}"))  # {"222222222222": "o-abc1234567"}
LOG = open(os.environ["MOTO_IAM_LOG"], "a", buffering=1) if os.environ.get("MOTO_IAM_LOG") else None


def as_list(value):
    return value if isinstance(value, list) else [value]


# ---- Policies. ----

def like(pattern, value, ignore_case=False):
    """Matches * and ? and nothing else (IAM user guide, Resource element)."""
    if ignore_case:
        pattern, value = pattern.lower(), value.lower()
    return compiled(pattern).fullmatch(value) is not None


@functools.lru_cache(maxsize=None)
def compiled(pattern):
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern), re.S)


OPERATORS = {
    "StringEquals": lambda want, got: want == got,
    "StringLike": like,
    "ArnLike": like,
    "ArnEquals": like,
    "Bool": lambda want, got: str(want).lower() == str(got).lower(),
}


def conditions_hold(conditions, context):
    """All operators and keys have to hold; an operator that is not known is an error, not a pass."""
    context = {key.lower(): value for key, value in context.items()}
    return all(
        condition_holds(operator, as_list(wanted), context.get(key.lower()))
        for operator, keys in (conditions or {}).items()
        for key, wanted in keys.items()
    )


def condition_holds(operator, wanted, got):
    """ForAllValues is for keys that have several values, and holds where there is none; Null tells whether there is none
    (IAM user guide, "Multivalued context keys"; "Condition operators")."""
    if operator == "Null":
        return str(got is None).lower() in [str(want).lower() for want in wanted]
    every, _, name = operator.rpartition(":")
    if every not in ("", "ForAllValues"):
        raise KeyError(operator)
    test = OPERATORS[name]
    if every:
        return all(any(test(want, value) for want in wanted) for value in got or [])
    return got is not None and any(test(want, got) for want in wanted)


def applies(statement, action, resource, context):
    actions = as_list(statement.get("Action", []))
    resources = as_list(statement.get("Resource", "*"))
    return (
        any(like(pattern, action, True) for pattern in actions)
        and any(like(pattern, resource) for pattern in resources)
        and conditions_hold(statement.get("Condition"), context)
    )


def effects(policies, action, resource, context):
    """The effects of all statements that apply."""
    return {
        statement["Effect"]
        for policy in policies
        for statement in as_list(policy["Statement"])
        if applies(statement, action, resource, context)
    }


def principal_named(statement, names):
    principal = statement.get("Principal", {})
    if principal == "*":
        return True
    return bool(names & set(as_list(principal.get("AWS", []))) or "*" in as_list(principal.get("AWS", [])))


# ---- Who asks. ----

class Caller:
    """A user or a session of a role, by its access key."""

    def __init__(self, key):
        self.key = key
        self.arn = key.arn
        self.account = self.arn.split(":")[4]
        self.principal = self.arn
        self.session_policy = None
        if ":assumed-role/" in self.arn:
            self.principal = f"arn:aws:iam::{self.account}:role/{self.arn.split('/')[1]}"
            session = sts_backends[self.account]["aws"].get_assumed_role_from_access_key(key._access_key_id)
            self.session_policy = json.loads(session.policy) if session.policy else None

    def policies(self):
        return [document(policy) for policy in self.key.collect_policies()]

    def names(self):
        """What a resource's policy can call it by, apart from its account."""
        return {self.principal, self.arn}

    def account_names(self):
        return {self.account, f"arn:aws:iam::{self.account}:root"}


def document(policy):
    return access.IAMPolicy(policy)._policy_json


def context_of(caller, resource_account):
    context = {
        "aws:PrincipalArn": caller.principal,
        "aws:PrincipalAccount": caller.account,
        "aws:ResourceAccount": resource_account,
        "aws:SecureTransport": "true",  # the emulator on loopback stands for TLS
    }
    if caller.account in ORGANIZATIONS:
        context["aws:PrincipalOrgID"] = ORGANIZATIONS[caller.account]
    return context


# ---- What is asked for. ----

def bucket_of(name):
    account = s3_models.s3_backends.bucket_accounts.get(name)
    if not account:
        return None, None
    return account[1], s3_models.s3_backends[account[1]][account[0]].buckets.get(name)


def resource_policy(resource):
    """The policy of a bucket; the other services' resources that are asked for have none."""
    if not resource.startswith("arn:aws:s3:::"):
        return None
    _, bucket = bucket_of(resource.split(":::")[1].split("/")[0])
    return json.loads(bucket.policy) if bucket is not None and bucket.policy else None


def account_of(resource, default):
    if resource.startswith("arn:aws:s3:::"):
        owner, _ = bucket_of(resource.split(":::")[1].split("/")[0])
        return owner or default
    return (resource.split(":") + [""] * 5)[4] or default


def permitted(caller, action, resource, asked):
    owner = account_of(resource, caller.account)
    context = {**context_of(caller, owner), **asked}
    own = effects(caller.policies(), action, resource, context)
    if caller.session_policy is not None:
        narrowed = effects([caller.session_policy], action, resource, context)
        own = (own & narrowed) | ({"Deny"} & (own | narrowed))
    foreign, delegated = set(), set()
    for statement in as_list((resource_policy(resource) or {"Statement": []})["Statement"]):
        if applies(statement, action, resource, context):
            if principal_named(statement, caller.names()):
                foreign.add(statement["Effect"])
            if principal_named(statement, caller.names() | caller.account_names()):
                delegated.add(statement["Effect"])
    if "Deny" in own | delegated:
        return False
    if owner == caller.account:
        return "Allow" in own | foreign  # naming the account only delegates to its own policies
    if resource.startswith("arn:aws:s3:::"):
        return "Allow" in own and "Allow" in delegated
    return "Allow" in own  # trust policies and layer policies are checked where they are used


# The names of actions, where they are not those of the operations (Service Authorization Reference).
ACTIONS = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "lambda:InvokeAsync": "lambda:InvokeFunction",
    "lambda:GetLayerVersionByArn": "lambda:GetLayerVersion",
    "s3:HeadBucket": "s3:ListBucket",
}

# Lists have no resource (Service Authorization Reference, Lambda).
WITHOUT_RESOURCE = {"lambda:ListFunctions", "lambda:ListLayers", "lambda:ListLayerVersions"}


class Asked:
    """The actions and resources that one request needs."""

    def __init__(self, request, resource):
        self.request = request
        self.account = request.account_id
        self.region = request._region
        operation = request._action.replace("monitoring:", "cloudwatch:")
        self.action = ACTIONS.get(operation, operation)
        self.resource = self.find(resource)

    def body(self):
        try:
            return json.loads(self.request._body or "{}")
        except ValueError:
            return {}

    def arn(self, service, rest):
        return f"arn:aws:{service}:{self.region}:{self.account}:{rest}"

    def find(self, resource):
        if self.action in WITHOUT_RESOURCE and "find=LayerVersion" not in self.request._path:
            return "*"
        service = self.action.split(":")[0]
        finder = getattr(self, "find_" + service, None)
        return finder() if finder else resource

    def find_dynamodb(self):
        name = self.body().get("TableName", "*")
        return name if name.startswith("arn:") else self.arn("dynamodb", "table/" + name)

    def find_secretsmanager(self):
        name = self.body().get("SecretId", "*")
        if name.startswith("arn:"):
            return name
        secrets = secretsmanager_backends[self.account][self.region].secrets
        return secrets[name].arn if name in secrets else self.arn("secretsmanager", "secret:" + name)

    def find_events(self):
        """Events are put on a bus (Service Authorization Reference, EventBridge)."""
        entries = self.body().get("Entries") if self.action == "events:PutEvents" else None
        return self.bus(entries[0]) if entries else "*"

    def bus(self, entry):
        name = entry.get("EventBusName", "default")
        return name if name.startswith("arn:") else self.arn("events", "event-bus/" + name)

    def find_sqs(self):
        """A queue's URL ends with its account and name (SQS developer guide, Queue and message identifiers)."""
        parts = urlparse(self.body().get("QueueUrl", "")).path.split("/")
        return f"arn:aws:sqs:{self.region}:{parts[-2]}:{parts[-1]}" if len(parts) > 2 else "*"

    def find_states(self):
        body = self.body()
        if "taskToken" in body:
            return self.machine_of_token(body["taskToken"])
        return body.get("stateMachineArn") or body.get("executionArn") or "*"

    def machine_of_token(self, token):
        """A token's callers need the right on its state machine (Service Authorization Reference, Step Functions)."""
        backend = stepfunctions_parser_backends[self.account][self.region]
        for machine in backend.state_machines:
            for execution in machine.executions:
                env = execution.exec_worker.env if execution.exec_worker else None
                if env is not None and env.callback_pool_manager.get(token) is not None:
                    return machine.arn
        return "*"

    def find_lambda(self):
        url = urlparse(self.request._path)
        query = parse_qs(url.query)
        if "find" in query:
            self.action = "lambda:GetLayerVersion"
            return query["Arn"][0]
        match = re.match(r"/20\d\d-\d\d-\d\d/(functions|layers)/([^/]+)(?:/(versions|aliases)/([^/]+))?", url.path)
        if not match:
            name = self.body().get("FunctionName")
            return self.arn("lambda", "function:" + name) if name else "*"
        kind, name = match[1][:-1], unquote(match[2])
        arn = name if name.startswith("arn:") else self.arn("lambda", f"{kind}:{name}")
        if kind == "layer" and match[4]:
            return f"{arn}:{match[4]}"
        qualifier = query.get("Qualifier", [None])[0]
        return f"{arn}:{qualifier}" if qualifier else arn

    def context(self):
        """What a condition can ask of the request: the partition keys of items (DynamoDB developer guide, "Using IAM policy
        conditions for fine-grained access control")."""
        body = self.body() if self.action in ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem") else {}
        table = dynamodb_backends[self.account][self.region].tables.get(body.get("TableName", "").rpartition("/")[2])
        key = (body.get("Item") or body.get("Key") or {}).get(table.hash_key_attr) if table else None
        return {"dynamodb:LeadingKeys": list(key.values())} if key else {}

    def needs(self):
        """Also what the service does with its caller's rights."""
        yield self.action, self.resource
        if self.action == "events:PutEvents":
            yield from {(self.action, self.bus(entry)) for entry in self.body().get("Entries", [])} - {(self.action, self.resource)}
        body = self.body() if self.action.startswith("lambda:") else {}
        # Code is read with the rights of the caller, who needs both actions for a version (Lambda developer guide,
        # deploying .zip file archives from a bucket of another account).
        source = {**body, **body.get("Content", {}), **(body.get("Code") or {})}
        if self.action in ("lambda:UpdateFunctionCode", "lambda:PublishLayerVersion", "lambda:CreateFunction") and "S3Bucket" in source:
            found = f"arn:aws:s3:::{source['S3Bucket']}/{source['S3Key']}"
            yield "s3:GetObject", found
            if source.get("S3ObjectVersion"):
                yield "s3:GetObjectVersion", found
        # A caller who attaches layers needs to be allowed to read them (developer guide, Granting layer access).
        if self.action in ("lambda:UpdateFunctionConfiguration", "lambda:CreateFunction"):
            for layer in body.get("Layers") or []:
                yield "lambda:GetLayerVersion", layer
        if self.action == "s3:PutObject" and self.header("x-amz-copy-source"):
            source = urlparse(unquote(self.header("x-amz-copy-source")))
            action = "s3:GetObjectVersion" if "versionId" in source.query else "s3:GetObject"
            yield action, "arn:aws:s3:::" + source.path.lstrip("/")
        # Who may not list gets "denied" for a key that is not there (S3 API reference, GetObject).
        if self.action in ("s3:GetObject", "s3:GetObjectVersion") and not self.object_exists():
            yield "s3:ListBucket", self.resource.split("/")[0]

    def header(self, name):
        return {key.lower(): value for key, value in self.request._headers.items()}.get(name)

    def object_exists(self):
        name, _, key = self.resource.split(":::")[1].partition("/")
        _, bucket = bucket_of(name)
        if bucket is None:
            return True
        version = parse_qs(urlparse(self.request._path).query).get("versionId", [None])[0]
        found = bucket.keys.getlist(key, default=[])
        return any(version in (None, str(k.version_id)) for k in found)


_logged = set()


def log(caller, action, resource, allowed, data):
    """The session policy of a role that is assumed is told, too: it says what the session will be good for."""
    narrowed = {key: as_list(data[key])[0] for key in ("RoleSessionName", "Policy") if action == "sts:AssumeRole" and key in data}
    decision = json.dumps({"who": caller.arn, "action": action, "resource": resource, "allowed": allowed, **narrowed})
    if LOG and not (allowed and decision in _logged):
        _logged.add(decision)
        LOG.write(decision + "\n")


def check(self, resource):
    if self._action == "sts:GetCallerIdentity":
        return
    caller = Caller(self._access_key)
    asked = Asked(self, resource)
    for action, needed in asked.needs():
        allowed = permitted(caller, action, needed, asked.context())
        if allowed and action == "sts:AssumeRole":
            allowed = trusted(caller, needed, self._data)
        log(caller, action, needed, allowed, self._data)
        if not allowed:
            self._action = action
            self._raise_access_denied()


def trusted(caller, role_arn, data):
    """A role of any account trusts its callers by its own policy; one that does not exist is denied like any other."""
    try:
        role = iam_backends[role_arn.split(":")[4]]["aws"].get_role_by_arn(role_arn)
    except access.NotFoundException:
        return False
    external = as_list(data.get("ExternalId"))[0]
    context = context_of(caller, role_arn.split(":")[4])
    if external:
        context["sts:ExternalId"] = external
    found = {
        statement["Effect"]
        for statement in as_list(json.loads(role.assume_role_policy_document)["Statement"])
        if applies(statement, "sts:AssumeRole", "*", context)
        and principal_named(statement, caller.names() | caller.account_names())
    }
    return found == {"Allow"}


QUERY_SERVICES = ("sts", "iam", "cloudformation", "sns", "monitoring")


def denied(self):
    if self._service in QUERY_SERVICES:
        refusal = AccessDeniedError(user_arn=self._access_key.arn, action=self._action)
        # One Error in an ErrorResponse (STS API reference, Common errors); moto has a list of them.
        refusal.description = refusal.description.replace("<Errors>", "").replace("</Errors>", "")
        raise refusal
    problem = JsonRESTError(
        "AccessDeniedException", f"User: {self._access_key.arn} is not authorized to perform: {self._action}"
    )
    problem.code = 403
    raise problem


def install():
    access.IAMRequestBase.check_signature = lambda self: None  # 5.2.1 refuses requests without a body
    access.IAMRequestBase.check_action_permitted = check
    access.IAMRequest._raise_access_denied = denied
    # moto asks bucket policies by its own rules besides; the decision has been made here.
    s3_models.FakeBucket.get_permission = lambda self, action, resource: access.PermissionResult.NEUTRAL
    # HeadObject of a version needs GetObjectVersion (S3 API reference, HeadObject).
    s3_responses.ACTION_MAP["KEY"]["HEAD"]["versionId"] = "GetObjectVersion"
