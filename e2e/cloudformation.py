"""Creates the resources of a plain CloudFormation template with boto3.

The emulator's own CloudFormation leaves out aliases and more without a word and
fails at the state machine; so each resource is created here, from what the
template says and nothing else. A type or an intrinsic function that is not
known is an error. What the emulator has no counterpart for is in SKIPPED.
"""
import json
import re

# Resource types that are not created, and why.
SKIPPED = {
    "AWS::ApiGatewayV2::Api": "the emulator serves no HTTP APIs: the tests invoke the function with the API's event",
    "AWS::ApiGatewayV2::Stage": "as the API",
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
            properties = self.resolve(resource.get("Properties", {}))
            identity, attributes = getattr(self, "create_" + kind.removeprefix("AWS::").replace("::", "_").lower())(name, properties)
        self.physical[name], self.attributes[name] = identity, attributes
        self.underway.remove(name)
        return identity

    def create_iam_role(self, _, p):
        iam = self.client("iam")
        role = iam.create_role(RoleName=p["RoleName"], AssumeRolePolicyDocument=json.dumps(p["AssumeRolePolicyDocument"]),
                               Description=p.get("Description", ""))["Role"]
        for policy in p.get("Policies", []):
            iam.put_role_policy(RoleName=p["RoleName"], PolicyName=policy["PolicyName"],
                                PolicyDocument=json.dumps(policy["PolicyDocument"]))
        for arn in p.get("ManagedPolicyArns", []):
            iam.attach_role_policy(RoleName=p["RoleName"], PolicyArn=arn)
        return p["RoleName"], {"Arn": role["Arn"]}

    def create_s3_bucket(self, name, p):
        s3 = self.client("s3")
        bucket = p.get("BucketName") or f"{self.name}-{name.lower()}-{self.account}-{self.region}"
        location = {} if self.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        s3.create_bucket(Bucket=bucket, **location)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=p["VersioningConfiguration"])
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=p["PublicAccessBlockConfiguration"])
        if "EventBridgeConfiguration" in p.get("NotificationConfiguration", {}):
            s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
        return bucket, {"Arn": f"arn:aws:s3:::{bucket}"}

    def create_s3_bucketpolicy(self, name, p):
        self.client("s3").put_bucket_policy(Bucket=p["Bucket"], Policy=json.dumps(p["PolicyDocument"]))
        return name, {}

    def create_dynamodb_table(self, name, p):
        table = p.get("TableName") or f"{self.name}-{name}"
        keep = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes")
        made = self.client("dynamodb").create_table(TableName=table, **{k: p[k] for k in keep if k in p})["TableDescription"]
        return table, {"Arn": made["TableArn"]}

    def create_sqs_queue(self, name, p):
        queue = p.get("QueueName") or f"{self.name}-{name}"
        url = self.client("sqs").create_queue(QueueName=queue)["QueueUrl"]
        return url, {"Arn": f"arn:aws:sqs:{self.region}:{self.account}:{queue}", "QueueName": queue}

    def create_sqs_queuepolicy(self, name, p):
        for url in p["Queues"]:
            self.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(p["PolicyDocument"])})
        return name, {}

    def create_logs_loggroup(self, _, p):
        group = p["LogGroupName"]
        self.client("logs").create_log_group(logGroupName=group)
        return group, {"Arn": f"arn:aws:logs:{self.region}:{self.account}:log-group:{group}:*"}

    def create_lambda_function(self, name, p):
        p = dict(p, Code={"ZipFile": self.code(name)}, Tags={t["Key"]: t["Value"] for t in p.get("Tags", [])})
        made = self.client("lambda").create_function(**p)
        return made["FunctionName"], {"Arn": made["FunctionArn"]}

    def create_lambda_version(self, _, p):
        made = self.client("lambda").publish_version(FunctionName=p["FunctionName"])
        return made["FunctionArn"], {"Version": made["Version"]}

    def create_lambda_alias(self, _, p):
        made = self.client("lambda").create_alias(**p)
        return made["AliasArn"], {}

    def create_lambda_permission(self, name, p):
        function, qualifier = p.pop("FunctionName"), {}
        if function.startswith("arn:") and len(function.split(":")) == 8:
            function, qualifier = function.split(":")[6], {"Qualifier": function.split(":")[7]}
        self.client("lambda").add_permission(FunctionName=function, StatementId=name, **qualifier, **p)
        return name, {}

    def create_events_rule(self, name, p):
        rule = p.get("Name") or f"{self.name}-{name}"
        settings = {"EventPattern": json.dumps(p["EventPattern"])} if "EventPattern" in p else {
            "ScheduleExpression": p["ScheduleExpression"]}
        events = self.client("events")
        arn = events.put_rule(Name=rule, State=p.get("State", "ENABLED"), **settings)["RuleArn"]
        # The targets name functions whose permissions name the rule: they come after the rule has its ARN.
        events.put_targets(Rule=rule, Targets=p["Targets"])
        return rule, {"Arn": arn}

    def create_stepfunctions_statemachine(self, _, p):
        definition = p.get("DefinitionString") or json.dumps(p["Definition"])
        for key, value in p.get("DefinitionSubstitutions", {}).items():
            definition = definition.replace("${" + key + "}", value)
        if "${" in definition:
            raise ValueError("the definition has placeholders without a substitution")
        made = self.client("stepfunctions").create_state_machine(
            name=p["StateMachineName"], definition=definition, roleArn=p["RoleArn"], type=p["StateMachineType"])
        return made["stateMachineArn"], {"Arn": made["stateMachineArn"], "Name": p["StateMachineName"]}

    def create_cloudwatch_alarm(self, name, p):
        self.client("cloudwatch").put_metric_alarm(AlarmName=f"{self.name}-{name}", **p)
        return f"{self.name}-{name}", {}


class _NoValue:
    def __repr__(self):
        return "AWS::NoValue"


NO_VALUE = _NoValue()
