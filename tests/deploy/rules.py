"""The templates' rules refuse what can't be, and nothing else: `rules.py [TEMPLATE...]`.

ministack evaluates the rules and the parameters' own constraints. It gets them with one harmless
resource in the place of all others, so that a hundred sets of parameters take seconds.
"""

import json
import sys
from pathlib import Path

import botocore.exceptions

from emulator import ministack
from template import TEMPLATES, load

REQUIRED = {
    "lambda.yaml": {
        "PackageBucket": "packages",
        "PackageKey": "groundcrew/1.zip",
        "PortfolioId": "port-abcdefghijklm",
    },
    "fargate.yaml": {
        "Image": "registry.example.com/groundcrew@sha256:0",
        "Subnets": "subnet-0123456789abcdef0",
        "SecurityGroups": "sg-0123456789abcdef0",
        "PortfolioId": "port-abcdefghijklm",
    },
}
TAG = {"ManagedAccountTagKey": "account-factory-managed", "ManagedAccountTagValue": "true"}
PRIORITY = {"ManagedAccountPriorityMode": "true"}


def quota(account_quota, operations):
    return {
        "AccountQuota": str(account_quota),
        "LambdaWorkerMaxConcurrentOperations": str(operations),
    }


def cases(name):
    """Sets of parameters, and a part of the message that refuses them; `None`: accepted."""
    if name == "fargate.yaml":
        yield from sizes()
    yield {}, None
    yield TAG, None
    yield {**TAG, **PRIORITY}, None
    yield PRIORITY, "ManagedAccountPriorityMode needs ManagedAccountTagKey"
    yield (
        {"ManagedAccountTagKey": "managed"},
        "ManagedAccountTagKey needs ManagedAccountTagValue",
    )
    yield (
        {"ManagedAccountTagKey": "managed", **PRIORITY},
        "ManagedAccountTagKey needs ManagedAccountTagValue",
    )
    yield (
        {"ManagedAccountTagValue": "true"},
        "ManagedAccountTagValue needs ManagedAccountTagKey",
    )
    for account_quota in range(1, 11):
        for operations in range(1, 11):
            above = "is above AccountQuota" if operations > account_quota else None
            yield quota(account_quota, operations), above
    # The parameters' own constraints.
    yield quota(11, 4), "AccountQuota"
    yield quota(5, 0), "LambdaWorkerMaxConcurrentOperations"
    yield {"ManagedAccountTagKey": 'a"b', "ManagedAccountTagValue": "x"}, "ManagedAccountTagKey"
    yield {"ManagedAccountTagKey": "k", "ManagedAccountTagValue": "a\\"}, "ManagedAccountTagValue"
    yield {**TAG, "ManagedAccountPriorityMode": "yes"}, "ManagedAccountPriorityMode"
    yield {"PortfolioId": "AWS Control Tower Account Factory Portfolio"}, "PortfolioId"
    yield {"PortfolioName": 'My "portfolio"'}, "PortfolioName"
    yield {"UpdateWaitTimeSeconds": "0"}, "UpdateWaitTimeSeconds"
    yield {"UpdateOperationTimeout": "an hour"}, "UpdateOperationTimeout"
    yield {"SqsMaxReceiveCount": "101"}, "SqsMaxReceiveCount"


def sizes():
    """What Fargate has (ECS developer guide, "Task CPU and memory")."""
    for cpu, least in ((256, 512), (512, 1024), (1024, 2048)):
        for memory in (512, 1024, 2048):
            less = "less than Fargate has" if memory < least else None
            yield {"TaskCpu": str(cpu), "TaskMemory": str(memory)}, less


# Where the reference systems have a parameter, it has their default.
DEFAULTS = {
    "LambdaWorkerMaxConcurrentOperations": "4",
    "ManagedAccountTagKey": "",
    "ManagedAccountTagValue": "",
    "ManagedAccountPriorityMode": "false",
    "PortfolioName": "AWS Control Tower Account Factory Portfolio",
    "UpdateWaitTimeSeconds": "30",
    "UpdateOperationTimeout": "60m",
    "SqsMaxReceiveCount": "5",
    "AccountQuota": "5",
}
LAMBDA_DEFAULTS = {
    "LambdaIngestMemorySize": "256",
    "LambdaIngestTimeout": "900",
    "LambdaIngestLogRetentionInDays": "30",
    "LambdaIngestKmsKeyId": "",
    "LambdaWorkerMemorySize": "256",
    "LambdaWorkerTimeout": "900",
    "LambdaWorkerLogRetentionInDays": "30",
    "LambdaWorkerKmsKeyId": "",
    "LambdaNotificationsLogRetentionInDays": "30",
    "LambdaNotificationsKmsKeyId": "",
}
FARGATE_DEFAULTS = {"TaskLogRetentionInDays": "30", "TaskKmsKeyId": ""}


def wrong_defaults(name, template):
    expected = DEFAULTS | (LAMBDA_DEFAULTS if name == "lambda.yaml" else FARGATE_DEFAULTS)
    for parameter, default in expected.items():
        found = template["Parameters"].get(parameter, {}).get("Default")
        if str(found) != default:
            yield f"{name}: the default of {parameter} is {found!r} instead of {default!r}"


def refused(cloudformation, stack, body, parameters):
    """Why a stack is refused; `None` when it is made."""
    try:
        cloudformation.create_stack(
            StackName=stack,
            TemplateBody=json.dumps(body),
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in parameters.items()
            ],
        )
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Message"]
    return None


def main():
    templates = [Path(name) for name in sys.argv[1:]] or TEMPLATES
    wrong, tried = [], 0
    with ministack() as client:
        for path in templates:
            template = load(path)
            wrong += wrong_defaults(path.name, template)
            body = {
                "AWSTemplateFormatVersion": "2010-09-09",
                "Parameters": template["Parameters"],
                "Rules": template.get("Rules", {}),
                "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            }
            for number, (parameters, expected) in enumerate(cases(path.name)):
                every = {**REQUIRED[path.name], **parameters}
                stack = f"{path.stem}-{number}"
                found = refused(client("cloudformation"), stack, body, every)
                tried += 1
                if expected is None and found is not None:
                    wrong.append(f"{path.name}: {parameters} is refused: {found}")
                if expected is not None and expected not in (found or ""):
                    wrong.append(
                        f"{path.name}: {parameters} is not refused with `{expected}`: {found}"
                    )
    print("\n".join(wrong) or f"{tried} sets of parameters: refused and accepted as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
