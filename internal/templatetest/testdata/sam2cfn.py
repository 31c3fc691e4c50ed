#!/usr/bin/env python3
"""Turns a SAM template into plain CloudFormation (JSON, on stdout), offline.

usage: sam2cfn.py TEMPLATE BUCKET

It stands in for what `sam package` and CloudFormation's transform do: the code
of function F becomes s3://BUCKET/F.zip, and a definition file is inlined with
its substitutions left to CloudFormation. Needs aws-sam-translator.
"""
import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies(ManagedPolicyLoader):
    """The translator asks IAM for managed policies; this template names none."""

    def __init__(self):
        super().__init__(None)

    def load(self):
        return {}


def package(template, folder, bucket):
    """Points code and definitions to where `sam package` would put them."""
    for name, resource in template["Resources"].items():
        properties = resource.setdefault("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            properties["CodeUri"] = f"s3://{bucket}/{name}.zip"
        if "DefinitionUri" in properties:
            with open(os.path.join(folder, properties.pop("DefinitionUri"))) as definition:
                properties["Definition"] = json.load(definition)
    return template


def main():
    path, bucket = sys.argv[1:]
    with open(path) as text:
        template = package(yaml_parse(text.read()), os.path.dirname(os.path.abspath(path)), bucket)
    try:
        plain = transform(template, {}, NoManagedPolicies())
    except InvalidDocumentException as problem:
        sys.exit("\n".join(cause.message for cause in problem.causes))
    json.dump(plain, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
