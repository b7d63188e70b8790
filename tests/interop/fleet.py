"""Prepares and inspects a fleet update whose queues are in ministack, and whose organization,
topic and ledger are in moto: `fleet.py organization N`, `fleet.py queues`, `fleet.py letters URL`.

Prints JSON. The endpoint and credentials come from the environment.
"""

import json
import sys

import boto3


def organization(number):
    """So many accounts in one OU, in the organization that `moto.py prepare` has made."""
    organizations = boto3.client("organizations")
    root = organizations.list_roots()["Roots"][0]["Id"]
    unit = organizations.create_organizational_unit(ParentId=root, Name="Fleet")
    unit = unit["OrganizationalUnit"]["Id"]
    accounts = []
    for index in range(number):
        name = f"account-{index}"
        created = organizations.create_account(AccountName=name, Email=f"{name}@example.com")
        account = created["CreateAccountStatus"]["AccountId"]
        organizations.move_account(
            AccountId=account, SourceParentId=root, DestinationParentId=unit
        )
        accounts.append({"id": account, "name": name, "email": f"{name}@example.com"})
    return {"ou": unit, "accounts": accounts}


def queues():
    """The updates queue with its dead-letter queue, and the queue of events."""
    sqs = boto3.client("sqs")

    def create(name, **attributes):
        if name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, arn["Attributes"]["QueueArn"]

    def pair(name, suffix=""):
        dead_url, dead = create(f"{name}-dead{suffix}")
        policy = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": "100"})
        url, _ = create(f"{name}{suffix}", RedrivePolicy=policy, VisibilityTimeout="30")
        return url, dead_url

    updates, dead = pair("updates", ".fifo")
    events, events_dead = pair("events")
    return {"updates": updates, "dead": dead, "events": events, "events_dead": events_dead}


def letters(url):
    """The messages in a dead-letter queue."""
    messages = boto3.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    return [json.loads(message["Body"]) for message in messages.get("Messages", [])]


def send(url, body):
    """An event that EventBridge would put there."""
    boto3.client("sqs").send_message(QueueUrl=url, MessageBody=body)
    return {}


what, *rest = sys.argv[1:]
print(
    json.dumps(
        {
            "organization": lambda: organization(int(rest[0])),
            "queues": queues,
            "letters": lambda: letters(rest[0]),
            "send": lambda: send(rest[0], rest[1]),
        }[what]()
    )
)
