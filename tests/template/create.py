"""Creates a stack of the templates on an emulator of AWS, as `sam deploy` would on AWS, and prints what came of it as JSON.

Run by the Python of aws-sam-cli's own environment, which has boto3: `create.py ENDPOINT FOLDER TEMPLATE STACK [PARAMETER=VALUE …]`.
FOLDER has what transform.py wrote: TEMPLATE.json, and what that nests. With `--update` the stack is there already.
"""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

BUCKET = "artifacts"
PATIENCE = 120.0


def main() -> None:
    """Command line."""
    arguments = [one for one in sys.argv[1:] if one != "--update"]
    endpoint, folder, template, stack = arguments[:4]
    parameters = [dict(zip(("ParameterKey", "ParameterValue"), one.split("=", 1))) for one in arguments[4:]]

    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=endpoint, region_name="eu-west-1", aws_access_key_id="test",
                            aws_secret_access_key="test", config=Config(retries={"max_attempts": 1}, read_timeout=PATIENCE))
    s3, cloudformation = client("s3"), client("cloudformation")
    if not any(one["Name"] == BUCKET for one in s3.list_buckets()["Buckets"]):
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("bootstrap", "#!/bin/sh\n")
    s3.put_object(Bucket=BUCKET, Key="code.zip", Body=code.getvalue())
    for file in Path(folder).glob("*.json"):
        s3.put_object(Bucket=BUCKET, Key=file.name, Body=file.read_bytes())
    is_update = "--update" in sys.argv
    deploy = cloudformation.update_stack if is_update else cloudformation.create_stack
    deploy(StackName=stack, TemplateURL=f"{endpoint}/{BUCKET}/{template}.json", Parameters=parameters,
           Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"])
    deadline = time.monotonic() + PATIENCE
    while (status := cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]).endswith("IN_PROGRESS"):
        assert time.monotonic() < deadline, status
        time.sleep(0.2)
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failures = [f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason')}" for one in events
                if one["ResourceStatus"].endswith("FAILED")]
    if status != ("UPDATE_COMPLETE" if is_update else "CREATE_COMPLETE"):
        print(json.dumps({"status": status, "failures": failures}))
        return
    pages = cloudformation.get_paginator("list_stack_resources")

    def resources(name: str) -> dict[str, dict[str, Any]]:
        return {one["LogicalResourceId"]: one for page in pages.paginate(StackName=name) for one in page["StackResourceSummaries"]}

    def walk(name: str, path: str) -> None:
        every[path] = resources(name)
        for logical_id, one in every[path].items():
            if one["ResourceType"] == "AWS::CloudFormation::Stack":
                walk(one["PhysicalResourceId"], f"{path}/{logical_id}".strip("/"))
    every: dict[str, dict[str, dict[str, Any]]] = {}
    walk(stack, "")
    [functions] = [one for one in every.values() if "LoginFunction" in one] or [{}]
    found = {
        "status": status,
        "failures": failures,
        "resources": {path: {name: one["ResourceType"] for name, one in made.items()} for path, made in every.items()},
        "outputs": {one["OutputKey"]: one["OutputValue"]
                    for one in cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])},
    }
    if functions:
        found["queue"] = client("sqs").get_queue_attributes(
            QueueUrl=functions["DomainCreatedQueue"]["PhysicalResourceId"], AttributeNames=["All"])["Attributes"]
        found["environment"] = client("lambda").get_function_configuration(
            FunctionName=functions["LoginFunction"]["PhysicalResourceId"])["Environment"]["Variables"]
        found |= _called(functions, client("lambda"))
    print(json.dumps(found))


def _called(made: dict[str, dict[str, Any]], functions: Any) -> dict[str, Any]:
    """What the queues call, by logical id of the function; what its alias is, and which versions there are."""
    names = {one["PhysicalResourceId"]: name for name, one in made.items() if one["ResourceType"] == "AWS::Lambda::Function"}
    mappings = functions.get_paginator("list_event_source_mappings").paginate().search("EventSourceMappings[].FunctionArn")
    called: dict[str, list[str]] = {}
    for arn in mappings:
        name, _, qualifier = arn.partition(":function:")[2].partition(":")
        if name in names:
            called.setdefault(names[name], []).append(qualifier)
    live = {name: [one["FunctionVersion"] for one in functions.list_aliases(FunctionName=physical)["Aliases"] if one["Name"] == "live"]
            for physical, name in names.items()}
    versions = {name: {one["Version"]: one.get("Description") for one in functions.list_versions_by_function(
        FunctionName=physical)["Versions"] if one["Version"] != "$LATEST"} for physical, name in names.items()}
    return {"called": called, "live": live, "versions": versions}


if __name__ == "__main__":
    main()
