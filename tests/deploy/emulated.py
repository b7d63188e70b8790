"""The templates make what the host expects: `emulated.py [TEMPLATE...]`.

Deploys them on ministack, reads back what is there, and compares. What ministack makes nothing of
is looked at in the template: `written`.
"""

import io
import json
import sys
import tomllib
import zipfile
from pathlib import Path

import botocore.exceptions
import jsonschema

import permissions
from emulator import ACCOUNT, REGION, deploy, ministack, without_unknown
from rules import PRIORITY, REQUIRED, TAG
from template import ROOT, TEMPLATES, load

DAY = 24 * 60 * 60
ROLES = {"lambda": ["events", "notifications", "updates"], "fargate": ["task"]}
SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "groundcrew.schema.json").read_text()))
SWEEP = '{ $.fields.event = "sweep_completed" }'


class Stack:
    """A stack that was created, and its problems."""

    def __init__(self, client, name, template, wrong):
        self.client, self.name, self.template, self.wrong = client, name, template, wrong
        resources = client("cloudformation").describe_stack_resources(StackName=name)
        self.ids = {
            one["LogicalResourceId"]: one["PhysicalResourceId"]
            for one in resources["StackResources"]
        }
        self.checks = 0

    def is_(self, what, found, expected):
        self.checks += 1
        if found != expected:
            self.wrong.append(f"{self.name}: {what} is {found!r} instead of {expected!r}")

    def holds(self, what, condition, found=None):
        self.checks += 1
        if not condition:
            self.wrong.append(f"{self.name}: {what}" + (f": {found!r}" if found else ""))

    def queue(self, logical):
        found = self.client("sqs").get_queue_attributes(
            QueueUrl=self.ids[logical], AttributeNames=["All"]
        )
        return found["Attributes"]

    def arn(self, logical):
        return self.queue(logical)["QueueArn"]

    def function(self, logical):
        return self.client("lambda").get_function_configuration(FunctionName=self.ids[logical])


def as_list(value):
    return value if isinstance(value, list) else [value]


def document(policy):
    return json.loads(policy) if isinstance(policy, str) else policy


# ---- what is the same in both ------------------------------------------------------------------


def queues(stack, sources):
    """`sources` are queues with what is expected of them and of their dead-letter queues."""
    key = stack.ids["Key"]
    for name, (dead, fifo, visibility, retention, receives) in sources.items():
        found, letters = stack.queue(name), stack.queue(dead)
        for label, one in ((name, found), (dead, letters)):
            stack.is_(f"FifoQueue of {label}", one.get("FifoQueue", "false"), str(fifo).lower())
            dedup = one.get("ContentBasedDeduplication", "false")
            stack.is_(f"ContentBasedDeduplication of {label}", dedup, "false")
            used = one.get("KmsMasterKeyId", "")
            stack.holds(f"{label} is encrypted with another key", key in used, used)
        redrive = json.loads(found.get("RedrivePolicy", "{}"))
        target = redrive.get("deadLetterTargetArn")
        stack.is_(f"dead-letter queue of {name}", target, letters["QueueArn"])
        count = int(redrive.get("maxReceiveCount", 0))
        stack.holds(f"maxReceiveCount of {name} is below {receives}", count >= receives, count)
        hidden = int(found["VisibilityTimeout"])
        stack.holds(f"VisibilityTimeout of {name} is below {visibility}", hidden >= visibility)
        kept, kept_dead = (int(one["MessageRetentionPeriod"]) for one in (found, letters))
        stack.holds(f"{name} keeps messages too shortly", kept >= retention, kept)
        stack.holds(f"{dead} keeps messages shorter than {name}", kept_dead >= kept, kept_dead)


def may_send(stack, logical, rules):
    """EventBridge, and of it these rules alone, may send to a queue."""
    policy = document(stack.queue(logical).get("Policy", '{"Statement": []}'))
    sources = set()
    for statement in policy["Statement"]:
        service = statement["Principal"].get("Service")
        stack.is_(f"sender to {logical}", service, "events.amazonaws.com")
        stack.is_(f"action on {logical}", statement["Action"], "sqs:SendMessage")
        for condition in statement["Condition"].values():
            sources |= set(as_list(condition["aws:SourceArn"]))
    stack.is_(f"rules that may send to {logical}", sources, set(rules))


def written(stack, logical, properties):
    """These properties are in the template: ministack makes nothing of them."""
    found = stack.template["Resources"][logical]["Properties"]
    for name, expected in properties.items():
        stack.is_(f"{name} of {logical}, in the template,", found.get(name), expected)


def topic(stack, parameters):
    subscribed = stack.client("sns").list_subscriptions_by_topic(TopicArn=stack.ids["Alerts"])
    people = [one["Endpoint"] for one in subscribed["Subscriptions"]]
    address = parameters.get("AlertEmail")
    stack.is_("who is subscribed to the topic", people, [address] if address else [])
    attributes = stack.client("sns").get_topic_attributes(TopicArn=stack.ids["Alerts"])
    attributes = attributes["Attributes"]
    written(stack, "Alerts", {"KmsMasterKeyId": {"Ref": "Key"}})
    policy = document(attributes["Policy"])
    publishers = {
        statement["Principal"].get("Service"): statement.get("Condition")
        for statement in policy["Statement"]
        if statement["Action"] == "sns:Publish"
    }
    ours = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    # EventBridge can't publish where its statement has a condition.
    expected = {"cloudwatch.amazonaws.com": ours, "events.amazonaws.com": None}
    stack.is_("publishers", publishers, expected)


def key(stack):
    kms = stack.client("kms")
    policy = kms.get_key_policy(KeyId=stack.ids["Key"], PolicyName="default")
    users = {
        service: set(as_list(statement["Action"]))
        for statement in document(policy["Policy"])["Statement"]
        for service in as_list(statement["Principal"].get("Service", []))
    }
    used = {"kms:Decrypt", "kms:GenerateDataKey*"}
    expected = {
        "events.amazonaws.com": used,
        "cloudwatch.amazonaws.com": used,
        f"logs.{REGION}.amazonaws.com": used
        | {"kms:Encrypt", "kms:ReEncrypt*", "kms:DescribeKey"},
    }
    stack.is_("services that may use the key", users, expected)
    rotation = kms.get_key_rotation_status(KeyId=stack.ids["Key"])["KeyRotationEnabled"]
    stack.is_("rotation of the key", rotation, True)


def table(stack):
    dynamodb = stack.client("dynamodb")
    found = dynamodb.describe_table(TableName=stack.ids["Ledger"])["Table"]
    schema = {one["KeyType"]: one["AttributeName"] for one in found["KeySchema"]}
    stack.is_("keys of the table", schema, {"HASH": "pk", "RANGE": "sk"})
    types = {one["AttributeName"]: one["AttributeType"] for one in found["AttributeDefinitions"]}
    stack.is_("types of the keys", types, {"pk": "S", "sk": "S"})
    mode = found.get("BillingModeSummary", {}).get("BillingMode")
    stack.is_("billing of the table", mode, "PAY_PER_REQUEST")
    encryption = {
        "SSEEnabled": True,
        "SSEType": "KMS",
        "KMSMasterKeyId": {"Fn::GetAtt": ["Key", "Arn"]},
    }
    written(
        stack,
        "Ledger",
        {
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "SSESpecification": encryption,
        },
    )
    ledger = stack.template["Resources"]["Ledger"]
    stack.is_("what becomes of the ledger", ledger["DeletionPolicy"], "RetainExceptOnCreate")


def overlay(stack, parameters, environment):
    """`GROUNDCREW_OVERLAY` is TOML with the stack's resources and the chosen parameters."""
    text = environment.get("GROUNDCREW_OVERLAY", "")
    value = stack.client("ssm").get_parameter(Name=stack.ids["Overlay"])["Parameter"]["Value"]
    stack.is_("the overlay in the environment", text, value)
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        stack.holds(f"the overlay is no TOML: {error}", False, text)
        return
    operations = int(parameters.get("LambdaWorkerMaxConcurrentOperations", 4))
    queue_urls = {
        "updates_url": stack.ids["UpdatesQueue"],
        "notifications_url": stack.ids["NotificationsQueue"],
    }
    if "EventsQueue" in stack.ids:
        queue_urls["events_url"] = stack.ids["EventsQueue"]
    expected = {
        "aws": {"region": REGION},
        "account_factory": {"portfolio_name": "AWS Control Tower Account Factory Portfolio"},
        "queues": queue_urls,
        "ledger": {"table": stack.ids["Ledger"]},
        "alerts": {"topic_arn": stack.ids["Alerts"]},
        "updates": {
            "account_quota": int(parameters.get("AccountQuota", 5)),
            "max_concurrent_operations": operations,
            "poll_interval": int(parameters.get("UpdateWaitTimeSeconds", 30)),
            "operation_timeout": parameters.get("UpdateOperationTimeout", "60m"),
            "max_attempts": int(parameters.get("SqsMaxReceiveCount", 5)),
        },
    }
    if tag_key := parameters.get("ManagedAccountTagKey"):
        priority = parameters.get("ManagedAccountPriorityMode") == "true"
        expected["lanes"] = [{"name": "tagged", "concurrency": operations}]
        expected["lanes"] += [{"name": "others", "concurrency": 1}] if priority else []
        settings = {
            "tag_key": tag_key,
            "tag_value": parameters["ManagedAccountTagValue"],
            "priority_mode": priority,
        }
        expected["policies"] = [
            {"name": "managed", "plugin": "managed-tag", "settings": settings}
        ]
    stack.is_("the overlay", found, expected)
    # ministack's URLs are those of this machine; AWS's have https.
    config = tomllib.loads(text.replace('= "http://', '= "https://'))
    for problem in SCHEMA.iter_errors(config):
        stack.holds(f"the overlay is no config: {problem.message}", False)


def events():
    """Events, and the rule that each is for."""
    fixtures = sorted((ROOT / "tests" / "events").glob("*.json"))
    for path in fixtures:
        event = json.loads(path.read_text())
        # The call that a lifecycle event begins with has its name, and is no lifecycle event.
        rule = {
            ("aws.controltower", "AWS Service Event via CloudTrail"): "LifecycleRule",
            ("aws.servicecatalog", "AWS API Call via CloudTrail"): "ServiceCatalogRule",
        }.get((event["source"], event["detail-type"]))
        yield path.name, event, rule
    call = json.loads((ROOT / "tests" / "events" / "update-provisioning-artifact.json").read_text())
    for name, rule in {
        "CreateProvisioningArtifact": "ServiceCatalogRule",
        "UpdateProvisionedProduct": "ServiceCatalogRule",
        "UpgradeProduct": "ServiceCatalogRule",
        "DescribeRecord": None,
        "SearchProvisionedProducts": None,
    }.items():
        yield name, {**call, "detail": {**call["detail"], "eventName": name}}, rule
    elsewhere = {**call, "detail": {**call["detail"], "eventSource": "ec2.amazonaws.com"}}
    yield "a call of another service", elsewhere, None
    yield "another source", {**call, "source": "aws.ec2"}, None
    yield "another kind of event", {**call, "detail-type": "Service Catalog Event"}, None
    service = {**call, "detail-type": "AWS Service Event via CloudTrail"}
    yield "a lifecycle event of another service", service, None
    called = {**call, "source": "aws.controltower"}
    yield "a call to Control Tower", called, None


def rules(stack, expected):
    """The rules match what they should, and have these targets with these dead-letter queues."""
    client = stack.client("events")
    patterns = {}
    for logical, targets in expected.items():
        # ministack's physical id is the name, AWS's, too; an ARN ends with it.
        name = stack.ids[logical].rsplit("/", 1)[-1]
        rule = client.describe_rule(Name=name)
        patterns[logical] = rule["EventPattern"]
        stack.is_(f"state of {logical}", rule["State"], "ENABLED")
        found = {
            target["Arn"]: target.get("DeadLetterConfig", {}).get("Arn")
            for target in client.list_targets_by_rule(Rule=name)["Targets"]
        }
        stack.is_(f"targets of {logical}", found, targets)
    for what, event, rule in events():
        for logical, pattern in patterns.items():
            found = client.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))
            stack.is_(f"whether {logical} matches {what}", found["Result"], logical == rule)


def rule_arn(stack, logical):
    name = stack.ids[logical].rsplit("/", 1)[-1]
    return stack.client("events").describe_rule(Name=name)["Arn"]


# At which value of a metric its alarm goes off.
THRESHOLDS = {
    "ApproximateNumberOfMessagesVisible": ("Maximum", 1),
    "ApproximateAgeOfOldestMessage": ("Maximum", 60 * 60),
    "Errors": ("Sum", 1),
    "Throttles": ("Sum", 1),
}


def alarms(stack, expected, thresholds=THRESHOLDS):
    """Each of `expected`, metric and dimension, has an alarm, and no other is there."""
    found = {}
    logs = stack.client("logs")
    for alarm in stack.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm"])[
        "MetricAlarms"
    ]:
        if alarm["AlarmName"] not in stack.ids.values():
            continue
        dimension = tuple(one["Value"] for one in alarm["Dimensions"])
        found[(alarm["Namespace"], alarm["MetricName"], *dimension)] = alarm
        name = alarm["AlarmName"]
        stack.is_(f"who is told of {name}", alarm["AlarmActions"], [stack.ids["Alerts"]])
        anchor = alarm["AlarmDescription"].rpartition("docs/operations.md#")[2]
        headings = (ROOT / "docs" / "operations.md").read_text().splitlines()
        anchors = [
            line.lstrip("# ").lower().replace(" ", "-") for line in headings if line.startswith("#")
        ]
        stack.holds(f"docs/operations.md has no section #{anchor}", anchor in anchors)
    sweeps = (f"Groundcrew/{stack.name}", "SweepsCompleted")
    stack.is_("alarms", set(found), {*expected, sweeps})
    for metric in found.keys() & expected:
        alarm = found[metric]
        values = (alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"])
        statistic, threshold = thresholds.get(metric[-1]) or thresholds[metric[1]]
        above = (statistic, "GreaterThanOrEqualToThreshold", float(threshold))
        stack.is_(f"the alarm of {metric}", values, above)
        stack.is_(f"missing data of {metric}", alarm["TreatMissingData"], "notBreaching")
        soon = alarm["Period"] * alarm["EvaluationPeriods"] <= 15 * 60
        stack.holds(f"the alarm of {metric} takes more than a quarter of an hour", soon)
    if sweeps in found:
        alarm = found[sweeps]
        span = alarm["Period"] * alarm["EvaluationPeriods"]
        stack.is_("span of the alarm of sweeps", span, DAY)
        stack.is_("missing sweeps", alarm["TreatMissingData"], "breaching")
        comparison = (alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"])
        stack.is_("the alarm of sweeps", comparison, ("Sum", "LessThanThreshold", 1.0))
    group = stack.ids.get("UpdatesLog") or stack.ids["TaskLog"]
    filters = logs.describe_metric_filters(logGroupName=group)["metricFilters"]
    stack.is_("metric filters", [one["filterPattern"] for one in filters], [SWEEP])
    if filters:
        made = filters[0]["metricTransformations"][0]
        stack.is_("metric of sweeps", (made["metricNamespace"], made["metricName"]), sweeps)


def log_group(stack, logical):
    group = stack.ids[logical]
    found = stack.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    found = next(one for one in found if one["logGroupName"] == group)
    stack.is_(f"retention of {logical}", found.get("retentionInDays"), 30)
    return group


def role(stack, name, parameters):
    """A role has what `permissions.py` lists, neither more nor less."""
    _, logical = permissions.ROLES[name]
    iam = stack.client("iam")
    physical = stack.ids[logical]
    documents = [
        document(iam.get_role_policy(RoleName=physical, PolicyName=policy)["PolicyDocument"])
        for policy in iam.list_role_policies(RoleName=physical)["PolicyNames"]
    ]
    for policy in iam.list_attached_role_policies(RoleName=physical)["AttachedPolicies"]:
        arn = policy["PolicyArn"]
        stack.holds(f"{logical} has a policy that is not of the stack", arn in stack.ids.values())
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        version = iam.get_policy_version(PolicyArn=arn, VersionId=version)
        documents.append(document(version["PolicyVersion"]["Document"]))
    found = {
        statement["Sid"]: sorted(as_list(statement["Action"]))
        for one in documents
        for statement in one["Statement"]
    }
    listed = (
        permissions.described(name, policy, statement)
        for policy, statement in permissions.statements(stack.template, logical)
    )
    given = {"HasSecrets": "NotifierSecretArns", "HasSecretKeys": "NotifierSecretKmsKeyArns"}
    listed = {
        one["sid"]: one["actions"]
        for one in listed
        if one["when"] is None or given[one["when"]] in parameters
    }
    stack.is_(f"statements of {logical}", found, listed)
    # Each resource is an ARN: nothing was left unresolved, no name stands where an ARN should.
    for one in documents:
        for statement in one["Statement"]:
            for resource in as_list(statement["Resource"]):
                stack.holds(
                    f"{logical}: {statement['Sid']} is about no ARN",
                    resource == "*" or resource.startswith("arn:") and "${" not in resource,
                    resource,
                )
    return iam.get_role(RoleName=physical)["Role"]


def portfolio(stack, template, logical):
    """The role that calls Account Factory is a principal of the portfolio."""
    of = [
        one["Properties"]
        for one in template["Resources"].values()
        if one["Type"] == "AWS::ServiceCatalog::PortfolioPrincipalAssociation"
    ]
    principal = {"Fn::GetAtt": [logical, "Arn"]}
    expected = {
        "PortfolioId": {"Ref": "PortfolioId"},
        "PrincipalARN": principal,
        "PrincipalType": "IAM",
    }
    stack.is_("associations with the portfolio", of, [expected])


# ---- lambda.yaml ------------------------------------------------------------------------------

FUNCTIONS = {
    "events": ("EventsFunction", "EventsRole", "EventsLog", 900),
    "notifications": ("NotificationsFunction", "NotificationsRole", "NotificationsLog", 300),
    "updates": ("UpdatesFunction", "UpdatesRole", "UpdatesLog", 900),
}


def functions(stack, parameters):
    lambdas = stack.client("lambda")
    for name, (logical, role_name, log, timeout) in FUNCTIONS.items():
        found = stack.function(logical)
        is_ = lambda what, expected: stack.is_(f"{what} of {logical}", found.get(what), expected)
        is_("Runtime", "provided.al2023")
        is_("Handler", "bootstrap")
        is_("MemorySize", 256)
        is_("Timeout", timeout)
        is_("Architectures", [parameters.get("Architecture", "x86_64")])
        stack.is_(f"role of {logical}", found["Role"].rsplit("/")[-1], stack.ids[role_name])
        group = found.get("LoggingConfig", {}).get("LogGroup")
        stack.is_(f"log group of {logical}", group, log_group(stack, log))
        environment = found["Environment"]["Variables"]
        stack.is_(f"kind of {logical}", environment.get("GROUNDCREW_FUNCTION"), name)
        stack.is_(f"log level of {logical}", environment.get("GROUNDCREW_LOG"), "info")
        overlay(stack, parameters, environment)

    asked = {"Ref": "LambdaWorkerReservedConcurrency"}
    reserved = {"Fn::If": ["HasReservedConcurrency", asked, {"Ref": "AWS::NoValue"}]}
    written(stack, "UpdatesFunction", {"ReservedConcurrentExecutions": reserved})

    for logical, queue, retries in (
        ("EventsFunction", "FailedEvents", 2),
        ("UpdatesFunction", "FailedTicks", 0),
    ):
        found = lambdas.get_function_event_invoke_config(
            FunctionName=stack.ids[logical], Qualifier="$LATEST"
        )
        stack.is_(f"retries of {logical}", found["MaximumRetryAttempts"], retries)
        target = found["DestinationConfig"]["OnFailure"]["Destination"]
        stack.is_(f"failure destination of {logical}", target, stack.arn(queue))

    sources = lambdas.list_event_source_mappings()["EventSourceMappings"]
    sources = [one for one in sources if one["EventSourceArn"] == stack.arn("NotificationsQueue")]
    stack.is_("event source mappings of the notifications queue", len(sources), 1)
    for one in sources:
        stack.is_("batch size", one["BatchSize"], 10)
        stack.is_("batch answers", one.get("FunctionResponseTypes"), ["ReportBatchItemFailures"])
        function = stack.function("NotificationsFunction")["FunctionArn"]
        stack.is_("function of the notifications queue", one["FunctionArn"], function)
    updates = stack.arn("UpdatesQueue")
    others = lambdas.list_event_source_mappings(EventSourceArn=updates)["EventSourceMappings"]
    stack.is_("event source mappings of the updates queue", others, [])

    # Only the rules that have the function as a target may invoke it.
    expected = {
        "EventsFunction": {rule_arn(stack, "LifecycleRule")},
        "UpdatesFunction": {
            rule_arn(stack, "LifecycleRule"),
            rule_arn(stack, "ServiceCatalogRule"),
        },
    }
    for logical, callers in expected.items():
        policy = lambdas.get_policy(FunctionName=stack.ids[logical])["Policy"]
        found = set()
        for statement in document(policy)["Statement"]:
            service = statement["Principal"].get("Service")
            stack.is_(f"caller of {logical}", service, "events.amazonaws.com")
            for condition in statement["Condition"].values():
                found |= set(condition.values())
        stack.is_(f"rules that may invoke {logical}", found, callers)


def schedules(stack):
    scheduler = stack.client("scheduler")
    for logical, rate, function, payload in (
        ("TickSchedule", "rate(1 minute)", "UpdatesFunction", {"source": "groundcrew", "detail-type": "Tick"}),
        ("LostEventsSchedule", "rate(6 hours)", "EventsFunction", {"source": "groundcrew", "detail-type": "Sweep"}),
    ):
        found = scheduler.get_schedule(Name=stack.ids[logical].rsplit("/", 1)[-1])
        stack.is_(f"{logical}", found["ScheduleExpression"], rate)
        stack.is_(f"state of {logical}", found.get("State", "ENABLED"), "ENABLED")
        target = found["Target"]
        arn = stack.function(function)["FunctionArn"]
        stack.is_(f"target of {logical}", target["Arn"], arn)
        stack.is_(f"input of {logical}", json.loads(target["Input"]), payload)
        name = target["RoleArn"].rsplit("/")[-1]
        stack.is_(f"role of {logical}", name, stack.ids["SchedulesRole"])
        policy = stack.client("iam").get_role_policy(RoleName=name, PolicyName="invoke")
        statements = document(policy["PolicyDocument"])["Statement"]
        stack.is_("statements of SchedulesRole", len(statements), 1)
        stack.is_("action of SchedulesRole", statements[0]["Action"], "lambda:InvokeFunction")
        stack.holds(f"SchedulesRole may not invoke {function}", arn in statements[0]["Resource"])


def look_at_lambda(stack, parameters):
    queues(
        stack,
        {
            "UpdatesQueue": ("UpdatesDeadLetters", True, 60, DAY, 100),
            # Longer than any function may run.
            "NotificationsQueue": ("NotificationsDeadLetters", True, 901, 4 * DAY, 50),
        },
    )
    failed = stack.arn("FailedEvents")
    both = {rule_arn(stack, "LifecycleRule"), rule_arn(stack, "ServiceCatalogRule")}
    may_send(stack, "FailedEvents", both)
    functions(stack, parameters)
    schedules(stack)
    of = lambda logical: stack.function(logical)["FunctionArn"]
    rules(
        stack,
        {
            "LifecycleRule": {of("EventsFunction"): failed, of("UpdatesFunction"): failed},
            "ServiceCatalogRule": {of("UpdatesFunction"): failed},
        },
    )
    name = lambda logical: stack.arn(logical).rsplit(":", 1)[-1]
    visible = ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    expected = {
        (*visible, name("UpdatesDeadLetters")),
        (*visible, name("NotificationsDeadLetters")),
        (*visible, name("FailedEvents")),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", name("NotificationsQueue")),
    }
    for logical, *_ in FUNCTIONS.values():
        expected.add(("AWS/Lambda", "Errors", stack.ids[logical]))
        expected.add(("AWS/Lambda", "Throttles", stack.ids[logical]))
    alarms(stack, expected)
    for one in ROLES["lambda"]:
        trust = document(role(stack, one, parameters)["AssumeRolePolicyDocument"])["Statement"]
        services = [statement["Principal"].get("Service") for statement in trust]
        stack.is_(f"who assumes the role of {one}", services, ["lambda.amazonaws.com"])


# ---- fargate.yaml -----------------------------------------------------------------------------


def task(stack, parameters):
    ecs = stack.client("ecs")
    found = ecs.describe_task_definition(taskDefinition=stack.ids["TaskDefinition"])
    found = found["taskDefinition"]
    stack.is_("containers", len(found["containerDefinitions"]), 1)
    container = found["containerDefinitions"][0]
    command = "run --config /etc/groundcrew/groundcrew.toml --listen 0.0.0.0:8080".split()
    for what, expected in {
        "command": command,
        "readonlyRootFilesystem": True,
        "user": "65532:65532",
        "essential": True,
    }.items():
        stack.is_(f"{what} of the container", container.get(what), expected)
    stack.holds("the container is privileged", not container.get("privileged"))
    definition = stack.template["Resources"]["TaskDefinition"]["Properties"]
    health = definition["ContainerDefinitions"][0].get("HealthCheck", {})
    stack.is_("the health check", health.get("Command"), {"Ref": "HealthCheckCommand"})
    log = container["logConfiguration"]
    stack.is_("log driver", log["logDriver"], "awslogs")
    stack.is_("log group", log["options"]["awslogs-group"], log_group(stack, "TaskLog"))
    environment = {one["name"]: one["value"] for one in container["environment"]}
    stack.is_("log level", environment.get("GROUNDCREW_LOG"), "info")
    stack.holds("it is told to be a function", "GROUNDCREW_FUNCTION" not in environment)
    overlay(stack, parameters, environment)
    for what, logical in (("taskRoleArn", "TaskRole"), ("executionRoleArn", "ExecutionRole")):
        stack.is_(what, found[what].rsplit("/")[-1], stack.ids[logical])
    services = ecs.describe_services(
        cluster=stack.ids["Cluster"], services=[stack.ids["Service"].rsplit("/")[-1]]
    )["services"]
    stack.is_("services", [one["desiredCount"] for one in services], [1])


def look_at_fargate(stack, parameters):
    queues(
        stack,
        {
            "UpdatesQueue": ("UpdatesDeadLetters", True, 60, DAY, 100),
            "NotificationsQueue": ("NotificationsDeadLetters", True, 120, 4 * DAY, 50),
            "EventsQueue": ("EventsDeadLetters", False, 60, 4 * DAY, 10),
        },
    )
    both = {rule_arn(stack, "LifecycleRule"), rule_arn(stack, "ServiceCatalogRule")}
    may_send(stack, "EventsQueue", both)
    may_send(stack, "EventsDeadLetters", both)
    task(stack, parameters)
    target = {stack.arn("EventsQueue"): stack.arn("EventsDeadLetters")}
    rules(stack, {"LifecycleRule": target, "ServiceCatalogRule": target})
    name = lambda logical: stack.arn(logical).rsplit(":", 1)[-1]
    visible = ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    expected = {
        (*visible, name("UpdatesDeadLetters")),
        (*visible, name("NotificationsDeadLetters")),
        (*visible, name("EventsDeadLetters")),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", name("NotificationsQueue")),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", name("EventsQueue")),
    }
    # The task takes events at once.
    alarms(stack, expected, THRESHOLDS | {name("EventsQueue"): ("Maximum", 15 * 60)})
    trust = document(role(stack, "task", parameters)["AssumeRolePolicyDocument"])["Statement"]
    services = [statement["Principal"].get("Service") for statement in trust]
    stack.is_("who assumes the task's role", services, ["ecs-tasks.amazonaws.com"])


# ---- both -------------------------------------------------------------------------------------

CHOICES = {
    "default": {},
    "tagged": {**TAG, "LambdaWorkerMaxConcurrentOperations": "2"},
    "priority": {
        **TAG,
        **PRIORITY,
        "AccountQuota": "10",
        "LambdaWorkerMaxConcurrentOperations": "10",
        "UpdateWaitTimeSeconds": "5",
        "UpdateOperationTimeout": "2h",
        "SqsMaxReceiveCount": "3",
        "AlertEmail": "oncall@example.com",
        "NotifierSecretArns": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:cmdb-AbCdEf,"
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:billing-AbCdEf",
        "NotifierSecretKmsKeyArns": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0",
    },
}
LAMBDA_CHOICES = {"Architecture": "arm64", "LambdaWorkerReservedConcurrency": "3"}


def package(client):
    """A package that has what Lambda demands of one."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        file.writestr("bootstrap", "#!/bin/sh\n")
    s3 = client("s3")
    bucket = REQUIRED["lambda.yaml"]["PackageBucket"]
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(
        Bucket=bucket, Key=REQUIRED["lambda.yaml"]["PackageKey"], Body=body.getvalue()
    )


def look(client, path, choice, wrong):
    """Deploys a template with one choice of parameters. How much was compared."""
    template = load(path)
    parameters = {**CHOICES[choice]}
    if path.name == "lambda.yaml" and choice == "priority":
        parameters |= LAMBDA_CHOICES
    deployable, left_out = without_unknown(template)
    name = f"{path.stem}-{choice}"
    made, why = deploy(client, name, deployable, {**REQUIRED[path.name], **parameters})
    if made["StackStatus"] != "CREATE_COMPLETE":
        wrong.append(f"{name}: {made['StackStatus']}: {why}")
        return 0
    stack = Stack(client, name, template, wrong)
    try:
        compare(stack, path, template, parameters, left_out)
    except (botocore.exceptions.ClientError, LookupError) as error:
        wrong.append(f"{name}: can't be compared: {error!r}")
    return stack.checks


def compare(stack, path, template, parameters, left_out):
    stack.is_("what ministack can't make", left_out, ["PortfolioAccess"])
    topic(stack, parameters)
    key(stack)
    table(stack)
    if path.name == "lambda.yaml":
        portfolio(stack, template, "UpdatesRole")
        look_at_lambda(stack, parameters)
    else:
        portfolio(stack, template, "TaskRole")
        look_at_fargate(stack, parameters)


def main():
    templates = [Path(name) for name in sys.argv[1:]] or TEMPLATES
    wrong, checks = [], 0
    with ministack() as client:
        package(client)
        for path in templates:
            for choice in CHOICES:
                checks += look(client, path, choice, wrong)
    print("\n".join(wrong) or f"{checks} comparisons: the stacks are what the host expects")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
