"""Creates the resources of a plain CloudFormation template with boto3.

The emulator's own CloudFormation leaves out aliases and more without a word and
fails at the state machine; so each resource is created here, from what the
template says and nothing else. A type, a property or an intrinsic function that
is not known is an error. What the emulator has no counterpart for is in SKIPPED
and IGNORED.
"""
import json
import re

# Resource types that are not created, and why.
SKIPPED = {
    "AWS::ApiGatewayV2::Api": "the emulator serves no HTTP APIs: the tests invoke the function with the API's event",
    "AWS::ApiGatewayV2::Stage": "as the API",
}

# Properties that are not set, and why.
IGNORED = {
    ("AWS::StepFunctions::StateMachine", "Tags"): "SAM marks what it makes; nothing looks at it",
}

# What a reference to a skipped resource gives.
SKIPPED_ID = "skipped"


class Stack:
    """A template with parameters, in an account and a region."""

    def __init__(self, template, name, account, region, client, parameters=None, code=None):
        self.template, self.name, self.account, self.region = template, name, account, region
        self.client = client  # of a service: client("lambda")
        self.code = code      # bytes of the code of a function, by its logical id
        self.parameters = dict(self.defaults(), **(parameters or {}))
        self.physical, self.attributes = {}, {}
        self.underway = []

    def defaults(self):
        return {name: p["Default"] for name, p in self.template.get("Parameters", {}).items() if "Default" in p}

    def create(self):
        missing = set(self.template.get("Parameters", {})) - set(self.parameters)
        if missing:
            raise ValueError(f"parameters without a value: {sorted(missing)}")
        for name in self.template["Resources"]:
            self.resource(name)
        return self

    def outputs(self):
        return {name: self.resolve(o["Value"]) for name, o in self.template.get("Outputs", {}).items()
                if "Condition" not in o or self.condition(o["Condition"])}

    def functions(self):
        """Logical id and resolved properties of each Lambda function."""
        return {name: self.resolve(r["Properties"]) for name, r in self.template["Resources"].items()
                if r["Type"] == "AWS::Lambda::Function"}

    # ---- Intrinsic functions (CloudFormation template reference). ----

    def resolve(self, value):
        if isinstance(value, list):
            return [v for v in map(self.resolve, value) if v is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (key, argument), = value.items()
            if key == "Ref" or key.startswith("Fn::"):
                return getattr(self, "fn_" + key.removeprefix("Fn::").lower())(argument)
        resolved = {k: self.resolve(v) for k, v in value.items()}
        return {k: v for k, v in resolved.items() if v is not NO_VALUE}

    def fn_ref(self, name):
        pseudo = {
            "AWS::AccountId": self.account, "AWS::Region": self.region, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": self.name, "AWS::NoValue": NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            value = self.parameters[name]
            listed = self.template["Parameters"][name]["Type"] == "CommaDelimitedList"
            return value.split(",") if listed else value
        return self.resource(name)

    def fn_getatt(self, argument):
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        self.resource(name)
        if self.physical[name] == SKIPPED_ID:
            return SKIPPED_ID
        return self.attributes[name][attribute]

    def fn_sub(self, argument):
        text, values = argument if isinstance(argument, list) else (argument, {})

        def replace(match):
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in values:
                return str(self.resolve(values[name]))
            return str(self.fn_getatt(name) if "." in name else self.fn_ref(name))

        return re.sub(r"\$\{([^}]+)\}", replace, text)

    def fn_join(self, argument):
        return argument[0].join(self.resolve(argument[1]))

    def fn_split(self, argument):
        return self.resolve(argument[1]).split(argument[0])

    def fn_if(self, argument):
        name, yes, no = argument
        return self.resolve(yes if self.condition(name) else no)

    def fn_not(self, argument):
        return not self.resolve(argument[0])

    def fn_equals(self, argument):
        first, second = self.resolve(argument)
        return first == second

    def condition(self, name):
        return self.resolve(self.template["Conditions"][name])

    # ---- Resources. ----

    def resource(self, name):
        """The physical id of a resource, which is created first if it is not there."""
        if name in self.physical:
            return self.physical[name]
        resource = self.template["Resources"][name]
        if "Condition" in resource and not self.condition(resource["Condition"]):
            return NO_VALUE
        if name in self.underway:
            raise ValueError(f"resources depend on each other: {self.underway + [name]}")
        self.underway.append(name)
        for other in resource.get("DependsOn", []) if isinstance(resource.get("DependsOn"), list) else []:
            self.resource(other)
        kind = resource["Type"]
        if kind in SKIPPED:
            identity, attributes = SKIPPED_ID, {}
        else:
            properties = Properties(self.resolve(resource.get("Properties", {})))
            identity, attributes = getattr(self, "create_" + kind.removeprefix("AWS::").replace("::", "_").lower())(name, properties)
            unknown = {p for p in properties.ignored() if (kind, p) not in IGNORED}
            if unknown:
                raise ValueError(f"{name} ({kind}): the properties {sorted(unknown)} are neither set nor listed as ignored")
        self.physical[name], self.attributes[name] = identity, attributes
        self.underway.remove(name)
        return identity

    def create_iam_role(self, _, p):
        iam, more = self.client("iam"), {"MaxSessionDuration": p["MaxSessionDuration"]} if "MaxSessionDuration" in p else {}
        role = iam.create_role(RoleName=p["RoleName"], AssumeRolePolicyDocument=json.dumps(p["AssumeRolePolicyDocument"]),
                               Description=p.get("Description", ""), **more)["Role"]
        for policy in p.get("Policies", []):
            iam.put_role_policy(RoleName=p["RoleName"], PolicyName=policy["PolicyName"],
                                PolicyDocument=json.dumps(policy["PolicyDocument"]))
        return p["RoleName"], {"Arn": role["Arn"]}

    def create_s3_bucket(self, name, p):
        s3 = self.client("s3")
        bucket = p.get("BucketName") or f"{self.name}-{name.lower()}-{self.account}-{self.region}"
        location = {} if self.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        s3.create_bucket(Bucket=bucket, **location)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=p["VersioningConfiguration"])
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=p["PublicAccessBlockConfiguration"])
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": p["OwnershipControls"]["Rules"]})
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [
            {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
            for rule in p["BucketEncryption"]["ServerSideEncryptionConfiguration"]]})
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={
            "Rules": [lifecycle(rule) for rule in p["LifecycleConfiguration"]["Rules"]]})
        if "EventBridgeConfiguration" in p.get("NotificationConfiguration", {}):
            s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
        return bucket, {"Arn": f"arn:aws:s3:::{bucket}"}

    def create_s3_bucketpolicy(self, name, p):
        self.client("s3").put_bucket_policy(Bucket=p["Bucket"], Policy=json.dumps(p["PolicyDocument"]))
        return name, {}

    def create_dynamodb_table(self, name, p):
        table, dynamodb = p.get("TableName") or f"{self.name}-{name}", self.client("dynamodb")
        encryption = {"Enabled": p["SSESpecification"]["SSEEnabled"]}
        made = dynamodb.create_table(TableName=table, SSESpecification=encryption, **p.of(
            "BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"))["TableDescription"]
        dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=p["TimeToLiveSpecification"])
        dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=p["PointInTimeRecoverySpecification"])
        return table, {"Arn": made["TableArn"]}

    def create_sqs_queue(self, name, p):
        queue = p.get("QueueName") or f"{self.name}-{name}"
        attributes = {key: str(value).lower() for key, value in p.of("SqsManagedSseEnabled", "MessageRetentionPeriod").items()}
        url = self.client("sqs").create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
        return url, {"Arn": f"arn:aws:sqs:{self.region}:{self.account}:{queue}", "QueueName": queue}

    def create_sqs_queuepolicy(self, name, p):
        for url in p["Queues"]:
            self.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(p["PolicyDocument"])})
        return name, {}

    def create_sns_topic(self, _, p):
        arn = self.client("sns").create_topic(Name=p["TopicName"])["TopicArn"]
        return arn, {"TopicArn": arn}

    def create_sns_topicpolicy(self, name, p):
        for arn in p["Topics"]:
            self.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(p["PolicyDocument"]))
        return name, {}

    def create_logs_loggroup(self, _, p):
        group, logs = p["LogGroupName"], self.client("logs")
        logs.create_log_group(logGroupName=group)
        logs.put_retention_policy(logGroupName=group, retentionInDays=int(p["RetentionInDays"]))
        return group, {"Arn": f"arn:aws:logs:{self.region}:{self.account}:log-group:{group}:*"}

    def create_lambda_function(self, name, p):
        tags = {t["Key"]: t["Value"] for t in p.get("Tags", [])}
        made = self.client("lambda").create_function(**dict(p.all(), Code={"ZipFile": self.code(name)}, Tags=tags))
        return made["FunctionName"], {"Arn": made["FunctionArn"]}

    def create_lambda_version(self, _, p):
        made = self.client("lambda").publish_version(FunctionName=p["FunctionName"])
        return made["FunctionArn"], {"Version": made["Version"]}

    def create_lambda_alias(self, _, p):
        made = self.client("lambda").create_alias(**p.all())
        return made["AliasArn"], {}

    def create_lambda_permission(self, name, p):
        more = p.all()
        function, qualifier = more.pop("FunctionName"), {}
        if function.startswith("arn:") and len(function.split(":")) == 8:
            function, qualifier = function.split(":")[6], {"Qualifier": function.split(":")[7]}
        self.client("lambda").add_permission(FunctionName=function, StatementId=name, **qualifier, **more)
        return name, {}

    def create_events_rule(self, name, p):
        rule, bus = p.get("Name") or f"{self.name}-{name}", {"EventBusName": p["EventBusName"]} if "EventBusName" in p else {}
        settings = {"EventPattern": json.dumps(p["EventPattern"])} if "EventPattern" in p else {
            "ScheduleExpression": p["ScheduleExpression"]}
        events = self.client("events")
        arn = events.put_rule(Name=rule, State=p.get("State", "ENABLED"), **p.of("Description"), **bus, **settings)["RuleArn"]
        # The targets name functions whose permissions name the rule: they come after the rule has its ARN.
        events.put_targets(Rule=rule, Targets=p["Targets"], **bus)
        return rule, {"Arn": arn}

    def create_stepfunctions_statemachine(self, _, p):
        definition = p.get("DefinitionString") or json.dumps(p["Definition"])
        for key, value in p.get("DefinitionSubstitutions", {}).items():
            definition = definition.replace("${" + key + "}", value)
        if "${" in definition:
            raise ValueError("the definition has placeholders without a substitution")
        made = self.client("stepfunctions").create_state_machine(
            name=p["StateMachineName"], definition=definition, roleArn=p["RoleArn"], type=p["StateMachineType"],
            loggingConfiguration=lower(p["LoggingConfiguration"]), tracingConfiguration=lower(p["TracingConfiguration"]))
        return made["stateMachineArn"], {"Arn": made["stateMachineArn"], "Name": p["StateMachineName"]}

    def create_cloudwatch_alarm(self, name, p):
        self.client("cloudwatch").put_metric_alarm(AlarmName=f"{self.name}-{name}", **p.all())
        return f"{self.name}-{name}", {}


def lifecycle(rule):
    """A rule as S3's API takes it: ID for Id, and a filter that says of which objects."""
    return dict({"ID" if key == "Id" else key: value for key, value in rule.items()}, Filter={"Prefix": ""})


def lower(value):
    """Step Functions' API writes its members in lower case, CloudFormation in upper case."""
    if isinstance(value, list):
        return [lower(v) for v in value]
    if isinstance(value, dict):
        return {k[0].lower() + k[1:]: lower(v) for k, v in value.items()}
    return value


class Properties(dict):
    """The properties of a resource, which know what was not asked for."""

    def __init__(self, properties):
        super().__init__(properties)
        self.used = set()

    def __getitem__(self, name):
        self.used.add(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        self.used.add(name)
        return super().get(name, default)

    def of(self, *names):
        return {name: self[name] for name in names if name in self}

    def all(self):
        return self.of(*self)

    def ignored(self):
        return set(self) - self.used


class _NoValue:
    def __repr__(self):
        return "AWS::NoValue"


NO_VALUE = _NoValue()
