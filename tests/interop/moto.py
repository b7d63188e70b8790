"""What the tests prepare and read in moto, by boto3: `moto.py prepare` or `moto.py look`.

Prints JSON. The endpoint and credentials come from the environment.
"""

import json
import sys

import boto3

TOPIC = "groundcrew-alerts"
TABLE = "groundcrew"


def prepare():
    """An organization with one account in an OU and with a tag, a topic that a queue
    listens to, and a table for the ledger."""
    organizations = boto3.client("organizations")
    organizations.create_organization(FeatureSet="ALL")
    root = organizations.list_roots()["Roots"][0]["Id"]
    unit = organizations.create_organizational_unit(ParentId=root, Name="Workloads")
    unit = unit["OrganizationalUnit"]["Id"]
    created = organizations.create_account(AccountName="payments-prod", Email="p@example.com")
    account = created["CreateAccountStatus"]["AccountId"]
    organizations.move_account(
        AccountId=account, SourceParentId=root, DestinationParentId=unit
    )
    organizations.tag_resource(
        ResourceId=account, Tags=[{"Key": "owner", "Value": "payments"}]
    )
    topic = boto3.client("sns").create_topic(Name=TOPIC)["TopicArn"]
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName=TOPIC)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    boto3.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
    )
    boto3.client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    )
    return {"account": account, "topic": topic}


def look():
    """The cases, the alerts and the ledger's items."""
    cases = boto3.client("support").describe_cases(includeResolvedCases=True)["cases"]
    sqs = boto3.client("sqs")
    queue = sqs.get_queue_url(QueueName=TOPIC)["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    alerts = [json.loads(message["Body"]) for message in messages]
    items = boto3.client("dynamodb").scan(TableName=TABLE, ConsistentRead=True)["Items"]
    return {
        "cases": [
            {
                "id": case["caseId"],
                "subject": case["subject"],
                "service_code": case["serviceCode"],
                "category_code": case["categoryCode"],
                "severity_code": case["severityCode"],
                "bodies": [c["body"] for c in case["recentCommunications"]["communications"]],
            }
            for case in cases
        ],
        "alerts": [{"subject": a["Subject"], "message": a["Message"]} for a in alerts],
        "ledger": {
            item["pk"]["S"]: json.loads(item["value"]["S"]) for item in items if "value" in item
        },
    }


print(json.dumps({"prepare": prepare, "look": look}[sys.argv[1]]()))
