"""Starts ministack, and deploys templates on it.

The program is that of .venv-ministack, or the one that GROUNDCREW_MINISTACK names.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import boto3
import botocore.config

from template import ROOT

PROGRAM = os.environ.get("GROUNDCREW_MINISTACK", ROOT / ".venv-ministack" / "bin" / "ministack")
REGION = "eu-central-1"
ACCOUNT = "000000000000"

# What ministack does not have.
UNKNOWN = {"AWS::ServiceCatalog::PortfolioPrincipalAssociation"}


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@contextlib.contextmanager
def ministack():
    """A function that makes clients of a ministack of one's own."""
    if not os.path.exists(PROGRAM):
        sys.exit(f"{PROGRAM} does not exist: make interop, or set GROUNDCREW_MINISTACK")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryFile("w+") as log:
        environment = {
            **os.environ,
            "GATEWAY_PORT": str(port),
            "HOME": home,
            "TMPDIR": home,
            "AWS_DEFAULT_REGION": REGION,
            "MINISTACK_REGION": REGION,
        }
        process = subprocess.Popen(
            [PROGRAM], env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    urllib.request.urlopen(endpoint, timeout=5)
                    break
                except urllib.error.HTTPError:
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > until:
                        log.seek(0)
                        sys.exit(f"ministack does not start:\n{log.read()[-2000:]}")
                    time.sleep(0.1)

            def client(service):
                return boto3.client(
                    service,
                    region_name=REGION,
                    endpoint_url=endpoint,
                    aws_access_key_id=ACCOUNT,
                    aws_secret_access_key="any",
                    config=botocore.config.Config(retries={"max_attempts": 1}),
                )

            yield client
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def deploy(client, stack, template, parameters):
    """Makes a stack of a template, a mapping. The status that it ends in, and why."""
    cloudformation = client("cloudformation")
    bucket = "templates"
    with contextlib.suppress(Exception):
        client("s3").create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    # Templates of more than 51,200 bytes come from S3, as with AWS.
    client("s3").put_object(Bucket=bucket, Key=f"{stack}.json", Body=json.dumps(template))
    endpoint = client("s3").meta.endpoint_url
    cloudformation.create_stack(
        StackName=stack,
        TemplateURL=f"{endpoint}/{bucket}/{stack}.json",
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    )
    until = time.monotonic() + 120
    while True:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        if not found["StackStatus"].endswith("IN_PROGRESS"):
            break
        if time.monotonic() > until:
            return found, "it did not end within two minutes"
        time.sleep(0.2)
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
        for event in events
        if event["ResourceStatus"].endswith("FAILED")
    ]
    return found, "; ".join(failed)


def without_unknown(template):
    """The template without resources that ministack does not know, and the removed ones."""
    resources = template["Resources"]
    left_out = [name for name, one in resources.items() if one["Type"] in UNKNOWN]
    kept = {name: dict(one) for name, one in resources.items() if name not in left_out}
    for one in kept.values():
        if "DependsOn" in one:
            after = one["DependsOn"]
            after = after if isinstance(after, list) else [after]
            one["DependsOn"] = [name for name in after if name not in left_out]
    return {**template, "Resources": kept}, left_out
