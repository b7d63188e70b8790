"""Has ministack run the Lambdas of a deployment.

    lambdas.py deploy PACKAGE.zip ENVIRONMENT.json [SECONDS]   functions that may take so long
    lambdas.py put EVENT.json                                  EventBridge invokes `events`
    lambdas.py send GROUP BODY                                 a message in the queue
    lambdas.py invoke FUNCTION EVENT.json                      prints the answer
    lambdas.py deliver FUNCTION EVENT.json                     as EventBridge invokes, with repeats
    lambdas.py concurrency FUNCTION NUMBER                     -1 for no limit
    lambdas.py look                                            prints what became of it all

EventBridge invokes the function `events`, which puts notifications into a FIFO queue; an event
source mapping hands batches of that to the function `notifications`. What `events` fails at goes
to the queue `failed`. ministack takes no events of AWS's own sources from users, as AWS doesn't:
the rule's input is the event. Its EventBridge doesn't repeat what fails, its Lambda does. The
endpoint and credentials come from the environment.
"""

import datetime
import json
import re
import sys

import boto3

NAME = "notifications"
FAILED = "failed"
sqs = boto3.client("sqs")
functions = boto3.client("lambda")
events = boto3.client("events")


def url(name):
    return sqs.get_queue_url(QueueName=name)["QueueUrl"]


def queue(name, **attributes):
    made = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=made, AttributeNames=["QueueArn"])
    return made, arn["Attributes"]["QueueArn"]


def deploy(package, environment, seconds="60"):
    fifo = {"FifoQueue": "true", "VisibilityTimeout": str(min(30, int(seconds) + 5))}
    _, dead = queue(f"{NAME}-dead.fifo", **fifo)
    policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": "100"})
    notifications, arn = queue(f"{NAME}.fifo", **fifo, RedrivePolicy=policy)
    _, failed = queue(FAILED)
    variables = json.load(open(environment))
    variables["GROUNDCREW_OVERLAY"] = f'queues.notifications_url = "{notifications}"'
    arns = {
        name: functions.create_function(
            FunctionName=name,
            Runtime="provided.al2023",
            Role="arn:aws:iam::000000000000:role/groundcrew",
            Handler="bootstrap",
            Code={"ZipFile": open(package, "rb").read()},
            Timeout=int(seconds),
            Environment={"Variables": variables | {"GROUNDCREW_FUNCTION": name}},
        )["FunctionArn"]
        for name in ("events", NAME)
    }
    functions.put_function_event_invoke_config(
        FunctionName="events", DestinationConfig={"OnFailure": {"Destination": failed}}
    )
    functions.create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName=NAME,
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    events.put_rule(Name="landed", EventPattern=json.dumps({"source": ["test"]}))


def put(event):
    arn = functions.get_function(FunctionName="events")["Configuration"]["FunctionArn"]
    target = {"Id": "events", "Arn": arn, "Input": open(event).read()}
    events.put_targets(Rule="landed", Targets=[target])
    put = events.put_events(Entries=[{"Source": "test", "DetailType": "t", "Detail": "{}"}])
    assert put["FailedEntryCount"] == 0, put


def send(group, body):
    sqs.send_message(
        QueueUrl=url(f"{NAME}.fifo"),
        MessageGroupId=group,
        MessageDeduplicationId=str(hash(body)),
        MessageBody=body,
    )


def invoke(function, event):
    answer = functions.invoke(FunctionName=function, Payload=open(event).read())
    print(answer["Payload"].read().decode())


def deliver(function, event):
    functions.invoke(
        FunctionName=function, InvocationType="Event", Payload=open(event).read()
    )


def concurrency(function, number):
    if int(number) < 0:
        functions.delete_function_concurrency(FunctionName=function)
    else:
        functions.put_function_concurrency(
            FunctionName=function, ReservedConcurrentExecutions=int(number)
        )


def messages(name):
    received = sqs.receive_message(
        QueueUrl=url(name), MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    return [message["Body"] for message in received.get("Messages", [])]


def throttles(function):
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    points = boto3.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Throttles",
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=now - hour,
        EndTime=now + hour,
        Period=7200,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in points["Datapoints"])


def timeouts(function):
    """Invocations that took all the time they had, by their reports in the log."""
    limit = functions.get_function_configuration(FunctionName=function)["Timeout"] * 1000
    logs = boto3.client("logs")
    try:
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}")
    except logs.exceptions.ResourceNotFoundException:
        return 0
    said = "\n".join(event["message"] for event in found["events"])
    durations = re.findall(r"^REPORT .*\tDuration: (\d+)", said, re.MULTILINE)
    return sum(int(duration) >= limit for duration in durations)


def look():
    """What is in the dead-letter queue and among the failed invocations, how much is left in the
    queue, and how often the function of notifications was throttled or timed out."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = sqs.get_queue_attributes(QueueUrl=url(f"{NAME}.fifo"), AttributeNames=names)
    print(
        json.dumps(
            {
                "letters": messages(f"{NAME}-dead.fifo"),
                "failed": messages(FAILED),
                "left": sum(int(count) for count in left["Attributes"].values()),
                "throttles": throttles(NAME),
                "timeouts": timeouts(NAME),
            }
        )
    )


COMMANDS = [deploy, put, send, invoke, deliver, concurrency, look]
{command.__name__: command for command in COMMANDS}[sys.argv[1]](*sys.argv[2:])
