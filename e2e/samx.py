"""Turns a SAM template into plain CloudFormation, offline.

It does what `sam package` and CloudFormation's transform do: the code of
function F is s3://BUCKET/F.zip, and the state machine's definition is inlined
with its substitutions left to CloudFormation.
"""
import json
import os

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies(ManagedPolicyLoader):
    """The translator asks IAM for managed policies; the template names none."""

    def __init__(self):
        super().__init__(None)

    def load(self):
        return {}


def plain(path, bucket="code"):
    """The CloudFormation template that the template in a file stands for, as a dict."""
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    if "Transform" not in template:
        return template
    for name, resource in template["Resources"].items():
        properties = resource.setdefault("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            properties["CodeUri"] = f"s3://{bucket}/{name}.zip"
        if "DefinitionUri" in properties:
            with open(os.path.join(os.path.dirname(path), properties.pop("DefinitionUri")), encoding="utf-8") as file:
                properties["Definition"] = json.load(file)
    return transform(template, {}, NoManagedPolicies())
