"""Has ministack run the Lambdas of a deployment: `lambdas.py run BOOTSTRAP.zip ENVIRONMENT.json
EVENT.json`, then `lambdas.py send GROUP BODY` and `lambdas.py look`.

EventBridge invokes the function `events`, which puts notifications into a FIFO queue; an event
source mapping hands batches of that to the function `notifications`. ministack takes no events of
AWS's own sources from users, as AWS doesn't: the rule's input is the event. The endpoint and
credentials come from the environment.
"""

import json
import sys

import boto3

NAME = "notifications"
sqs = boto3.client("sqs")


def url(name):
    return sqs.get_queue_url(QueueName=name)["QueueUrl"]


def queue(name, **attributes):
    attributes |= {"FifoQueue": "true", "VisibilityTimeout": "30"}
    made = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=made, AttributeNames=["QueueArn"])
    return made, arn["Attributes"]["QueueArn"]


def run(bootstrap, environment, event):
    _, dead = queue(f"{NAME}-dead.fifo")
    policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": "100"})
    notifications, arn = queue(f"{NAME}.fifo", RedrivePolicy=policy)
    variables = json.load(open(environment))
    variables["GROUNDCREW_OVERLAY"] = f'queues.notifications_url = "{notifications}"'
    client = boto3.client("lambda")
    functions = {
        name: client.create_function(
            FunctionName=name,
            Runtime="provided.al2023",
            Role="arn:aws:iam::000000000000:role/groundcrew",
            Handler="bootstrap",
            Code={"ZipFile": open(bootstrap, "rb").read()},
            Timeout=60,
            Environment={"Variables": variables | {"GROUNDCREW_FUNCTION": name}},
        )["FunctionArn"]
        for name in ("events", NAME)
    }
    client.create_event_source_mapping(
        EventSourceArn=arn,
        FunctionName=NAME,
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    events = boto3.client("events")
    events.put_rule(Name="landed", EventPattern=json.dumps({"source": ["test"]}))
    target = {"Id": "events", "Arn": functions["events"], "Input": open(event).read()}
    events.put_targets(Rule="landed", Targets=[target])
    # Twice: it is told once.
    for _ in range(2):
        put = events.put_events(Entries=[{"Source": "test", "DetailType": "t", "Detail": "{}"}])
        assert put["FailedEntryCount"] == 0, put


def send(group, body):
    sqs.send_message(
        QueueUrl=url(f"{NAME}.fifo"),
        MessageGroupId=group,
        MessageDeduplicationId=str(hash(body)),
        MessageBody=body,
    )


def look():
    """What is in the dead-letter queue, and how much is left in the other."""
    received = sqs.receive_message(
        QueueUrl=url(f"{NAME}-dead.fifo"), MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = sqs.get_queue_attributes(QueueUrl=url(f"{NAME}.fifo"), AttributeNames=names)
    print(
        json.dumps(
            {
                "letters": [message["Body"] for message in received.get("Messages", [])],
                "left": sum(int(count) for count in left["Attributes"].values()),
            }
        )
    )


{"run": run, "send": send, "look": look}[sys.argv[1]](*sys.argv[2:])
