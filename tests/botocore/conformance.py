"""Checks the answers of the simulated AWS against botocore's service models.

    conformance.py http://127.0.0.1:PORT

Every operation that the server offers is called by boto3. Each raw answer is held against
the shapes of the model: no unknown member, no missing one, and types, enumerations,
lengths, patterns and timestamps as they are declared. Errors must be among those that the
model has for the operation, or among those that the service's documentation names as common
to all. Prints one line for each problem and a summary, and fails if there is a problem, or
an operation that was not called.
"""

import base64
import hashlib
import json
import re
import struct
import sys
import time
import urllib.request
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

import boto3
import botocore.exceptions
from botocore.config import Config
from botocore.parsers import RpcV2CBORParser

# Errors that services answer though no operation's model names them.
COMMON = {
    "dynamodb": {"ValidationException", "SerializationException"},
    "servicecatalog": {"ResourceInUseException"},
    "sqs": {"InvalidParameterValue", "MissingParameter"},
    "support": {"ValidationException"},
}

# Python knows no Unicode classes; these are close enough for these responses.
CLASSES = {
    r"\p{L}": "a-zA-Z",
    r"\p{M}": "\u0300-\u036f",
    r"\p{N}": "0-9",
    r"\p{P}": r"!-#%-*,-/:;?@\[-\]_{}",
    r"\p{S}": "$+<=>^`|~",
    r"\p{Z}": " ",
}


@dataclass
class Checker:
    """Collects the responses and their problems."""

    problems: list = field(default_factory=list)
    answers: int = 0
    called: set = field(default_factory=set)

    def problem(self, text):
        self.problems.append(text)
        print(text)

    def watch(self, client):
        """Checks the raw response of every call of a client."""
        service = client.meta.service_model

        def answered(operation_model, response_dict, **_):
            self.answers += 1
            self.called.add((service.service_name, operation_model.name))
            self.check(service, operation_model, response_dict)

        client.meta.events.register(f"before-parse.{service.service_id.hyphenize()}", answered)

    def check(self, service, operation, response):
        place = f"{service.service_name} {operation.name}"
        status, headers, body = response["status_code"], response["headers"], response["body"]
        if not headers.get("x-amzn-requestid"):
            self.problem(f"{place}: no x-amzn-requestid")
        protocol = service.resolved_protocol
        if status >= 300:
            self.check_error(service, operation, place, protocol, headers, body)
            return
        shape = operation.output_shape
        if protocol == "query":
            self.check_xml(place, operation, shape, body)
        elif protocol == "smithy-rpc-v2-cbor":
            self.expect_header(place, headers, "content-type", "application/cbor")
            self.expect_header(place, headers, "smithy-protocol", "rpc-v2-cbor")
            self.check_shape(shape, Cbor().read(body), place)
        else:
            kind = "application/json"
            if protocol == "json":
                kind = f"application/x-amz-json-{service.metadata['jsonVersion']}"
            self.expect_header(place, headers, "content-type", kind)
            answer = json.loads(body)
            if shape is None:
                if answer:
                    self.problem(f"{place}: {answer} instead of nothing")
            else:
                self.check_shape(shape, answer, place)

    def expect_header(self, place, headers, name, value):
        if headers.get(name) != value:
            self.problem(f"{place}: the header {name} is {headers.get(name)}, not {value}")

    def check_error(self, service, operation, place, protocol, headers, body):
        if protocol == "query":
            root = strip_namespaces(ElementTree.fromstring(body))
            code = root.findtext("Error/Code")
            members = {child.tag: child.text for child in root.find("Error")}
            if members.pop("Type") not in ("Sender", "Receiver"):
                self.problem(f"{place}: an error without a type")
            members.pop("Code")
        else:
            members = Cbor().read(body) if protocol == "smithy-rpc-v2-cbor" else json.loads(body)
            named = headers.get("x-amzn-errortype", "") if protocol == "rest-json" else None
            code = members.pop("__type").rsplit("#", 1)[-1] if named is None else named
        if service.metadata.get("awsQueryCompatible") is not None:
            header = headers.get("x-amzn-query-error", "")
            if not re.fullmatch(r"[\w.]+;(Sender|Receiver)", header):
                self.problem(f"{place}: the header x-amzn-query-error is {header!r}")
        for shape in operation.error_shapes:
            if shape.metadata.get("error", {}).get("code", shape.name) == code:
                # Some errors are declared without any member; all have a message.
                if protocol != "query" and shape.members:
                    self.check_shape(shape, members, f"{place} {code}")
                return
        if code not in COMMON.get(service.service_name, ()):
            self.problem(f"{place}: the error {code} is not one of the operation's: {members}")

    def check_xml(self, place, operation, shape, body):
        root = strip_namespaces(ElementTree.fromstring(body))
        if root.tag != f"{operation.name}Response":
            self.problem(f"{place}: the answer is a {root.tag}")
        if not root.findtext("ResponseMetadata/RequestId"):
            self.problem(f"{place}: no RequestId")
        result = root.find(f"{operation.name}Result")
        if shape is not None:
            self.check_element(shape, result, place)

    def check_element(self, shape, element, place):
        """Turns XML into what JSON would have been, as the model says how."""
        self.check_shape(shape, self.value_of(shape, element, place), place)

    def value_of(self, shape, element, place):
        if shape.type_name == "structure":
            value = {}
            for child in element:
                member = shape.members.get(child.tag)
                if member is None:
                    self.problem(f"{place}: unknown member {child.tag}")
                else:
                    value[child.tag] = self.value_of(member, child, place)
            return value
        if shape.type_name == "list":
            return [self.value_of(shape.member, child, place) for child in element]
        if shape.type_name == "map":
            return {
                entry.findtext("key"): self.value_of(shape.value, entry.find("value"), place)
                for entry in element
            }
        return element.text or ""

    def check_shape(self, shape, value, place):
        kind, declared = shape.type_name, shape._shape_model
        if declared.get("document"):
            return
        expected = {
            "structure": dict,
            "map": dict,
            "list": list,
            "string": str,
            "blob": str,
            "integer": int,
            "long": int,
            "float": (int, float),
            "double": (int, float),
            "timestamp": (int, float),
            "boolean": bool,
        }[kind]
        if not isinstance(value, expected) or (isinstance(value, bool) and kind != "boolean"):
            self.problem(f"{place}: {value!r} is no {kind}")
            return
        if kind in ("string", "list", "map"):
            self.check_range(declared, len(value), place)
        if kind in ("integer", "long"):
            self.check_range(declared, value, place)
        if kind == "structure":
            for name in value.keys() - shape.members.keys():
                self.problem(f"{place}: unknown member {name}")
            for name in set(shape.required_members) - value.keys():
                self.problem(f"{place}: no {name}")
            for name, member in shape.members.items():
                if name in value:
                    self.check_shape(member, value[name], f"{place}.{name}")
        elif kind == "list":
            for number, element in enumerate(value):
                self.check_shape(shape.member, element, f"{place}[{number}]")
        elif kind == "map":
            for key, element in value.items():
                self.check_shape(shape.key, key, f"{place} key")
                self.check_shape(shape.value, element, f"{place}.{key}")
        elif kind == "string":
            if shape.enum and value not in shape.enum:
                self.problem(f"{place}: {value!r} is none of {shape.enum}")
            self.check_pattern(declared.get("pattern"), value, place)
        elif kind == "blob":
            base64.b64decode(value, validate=True)
        elif kind == "timestamp" and not 1e9 < value < 4e9:
            self.problem(f"{place}: {value!r} is no time in seconds")

    def check_range(self, declared, size, place):
        if not declared.get("min", size) <= size <= declared.get("max", size):
            self.problem(
                f"{place}: {size} is not from {declared.get('min')} to {declared.get('max')}"
            )

    def check_pattern(self, pattern, value, place):
        if pattern is None:
            return
        for name, characters in CLASSES.items():
            pattern = pattern.replace(name, characters)
        if not re.match(pattern, value):
            self.problem(f"{place}: {value!r} does not match {pattern}")


class Cbor(RpcV2CBORParser):
    """Reads CBOR as botocore does, but leaves times as numbers, which must be tagged."""

    def __init__(self):
        super().__init__(timestamp_parser=lambda seconds: seconds)

    def read(self, body):
        return self._initial_body_parse(body) or {}


def strip_namespaces(root):
    for element in root.iter():
        element.tag = element.tag.rsplit("}", 1)[-1]
    return root


class Aws:
    """Clients of the simulated AWS."""

    def __init__(self, endpoint, checker):
        self.endpoint = endpoint
        session = boto3.Session(
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="EXAMPLE",
            region_name="us-east-1",
        )
        config = Config(retries={"total_max_attempts": 1})
        self.client = {}
        for service in self.control("offered"):
            client = session.client(service, endpoint_url=endpoint, config=config)
            checker.watch(client)
            self.client[service] = client
        self.checker = checker

    def control(self, name, body=None):
        url = f"{self.endpoint}/_groundcrew/{name}"
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=30) as answer:
            return json.load(answer)

    def refused(self, code, call, **members):
        """A call that must fail with this code."""
        try:
            call(**members)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != code:
                self.checker.problem(f"{error}: expected {code}")
        else:
            self.checker.problem(f"{call.__name__} {members}: expected {code}")

    def expect(self, what, truth):
        if not truth:
            self.checker.problem(f"expected: {what}")


def service_catalog(aws):
    catalog = aws.client["servicecatalog"]
    name = "AWS Control Tower Account Factory"
    product = catalog.describe_product_as_admin(Name=name)
    product_id = product["ProductViewDetail"]["ProductViewSummary"]["ProductId"]
    catalog.describe_product_as_admin(Id=product_id)
    aws.refused("ResourceNotFoundException", catalog.describe_product_as_admin, Name="Nothing")
    aws.refused("InvalidParametersException", catalog.describe_product_as_admin)
    catalog.search_products_as_admin(Filters={"Owner": ["AWS Control Tower"]})
    path = catalog.list_launch_paths(ProductId=product_id)["LaunchPathSummaries"][0]["Id"]
    portfolios = catalog.list_portfolios_for_product(ProductId=product_id)["PortfolioDetails"]
    aws.expect("one portfolio", catalog.list_portfolios()["PortfolioDetails"] == portfolios)
    principals = catalog.list_principals_for_portfolio(PortfolioId=portfolios[0]["Id"])
    kinds = {principal["PrincipalType"] for principal in principals["Principals"]}
    aws.expect("a role and a pattern", kinds == {"IAM", "IAM_PATTERN"})
    for call, member in (
        (catalog.list_portfolios_for_product, "ProductId"),
        (catalog.list_principals_for_portfolio, "PortfolioId"),
    ):
        aws.refused("ResourceNotFoundException", call, **{member: "nothing"})
    aws.control("release-artifact", b"")
    artifacts = catalog.list_provisioning_artifacts(ProductId=product_id)
    newest = artifacts["ProvisioningArtifactDetails"][-1]["Id"]
    aws.refused(
        "ResourceNotFoundException", catalog.list_provisioning_artifacts, ProductId="prod-a"
    )

    pages = every_page(
        catalog.search_provisioned_products, "PageToken", "NextPageToken", PageSize=7
    )
    products = [product for page in pages for product in page["ProvisionedProducts"]]
    aws.expect("30 provisioned products", len(products) == 30)
    one = catalog.search_provisioned_products(
        Filters={"SearchQuery": [f"physicalId:{products[3]['PhysicalId']}"]}
    )
    aws.expect("one provisioned product", one["TotalResultsCount"] == 1)
    aws.refused(
        "InvalidParametersException", catalog.search_provisioned_products, Filters={"X": ["y"]}
    )
    scanned = every_page(
        catalog.scan_provisioned_products, "PageToken", "NextPageToken", PageSize=9
    )
    aws.expect("as many", sum(len(page["ProvisionedProducts"]) for page in scanned) == 30)
    catalog.describe_provisioned_product(Id=products[0]["Id"])
    catalog.describe_provisioned_product(Name=products[0]["Name"])
    aws.refused("ResourceNotFoundException", catalog.describe_provisioned_product, Id="pp-nothing")

    keys = ["AccountEmail", "AccountName", "ManagedOrganizationalUnit", "SSOUserEmail"]
    keys += ["SSOUserFirstName", "SSOUserLastName"]
    update = {
        "ProductId": product_id,
        "ProvisioningArtifactId": newest,
        "PathId": path,
        "ProvisioningParameters": [{"Key": key, "UsePreviousValue": True} for key in keys],
    }
    kept = update["ProvisioningParameters"]
    for wrong in (
        kept[:5],
        [*kept, {"Key": "VPCRegion", "Value": "us-east-1"}],
        [*kept[1:], {"Key": "AccountEmail", "Value": ""}],
        [*kept, {"Key": "ManagedOrganizationalUnit", "Value": "Nowhere"}],
    ):
        aws.refused(
            "InvalidParametersException",
            catalog.update_provisioned_product,
            ProvisionedProductId=products[0]["Id"],
            UpdateToken="wrong-parameters",
            **{**update, "ProvisioningParameters": wrong},
        )
    started = [
        catalog.update_provisioned_product(
            ProvisionedProductId=product["Id"], UpdateToken=f"token-{product['Id']}", **update
        )
        for product in products[:5]
    ]
    record = started[0]["RecordDetail"]["RecordId"]
    again = catalog.update_provisioned_product(
        ProvisionedProductId=products[0]["Id"], UpdateToken=f"token-{products[0]['Id']}", **update
    )
    aws.expect("the same record", again["RecordDetail"]["RecordId"] == record)
    aws.refused(
        "ResourceInUseException",
        catalog.update_provisioned_product,
        ProvisionedProductId=products[0]["Id"],
        UpdateToken="another",
        **update,
    )
    aws.refused(
        "InvalidParametersException",
        catalog.update_provisioned_product,
        ProvisionedProductId=products[6]["Id"],
        UpdateToken="the-quota-is-used-up",
        **update,
    )
    catalog.describe_record(Id=record)
    aws.refused("ResourceNotFoundException", catalog.describe_record, Id="rec-nothing")
    filter = {"Key": "provisionedproduct", "Value": products[0]["Id"]}
    history = catalog.list_record_history(SearchFilter=filter)
    aws.expect("two records", len(history["RecordDetails"]) == 2)
    aws.refused("InvalidParametersException", catalog.list_record_history, PageToken="nonsense")
    # An update takes a second here.
    until(lambda: catalog.describe_record(Id=record)["RecordDetail"]["Status"] == "SUCCEEDED")
    outputs = catalog.describe_record(Id=record)["RecordOutputs"]
    of_product = catalog.get_provisioned_product_outputs(ProvisionedProductId=products[0]["Id"])
    aws.expect("the same outputs", outputs and of_product["Outputs"] == outputs)


def organizations(aws):
    organizations = aws.client["organizations"]
    organizations.describe_organization()
    root = organizations.list_roots()["Roots"][0]["Id"]
    pages = organizations.get_paginator("list_accounts").paginate(PaginationConfig={"PageSize": 8})
    accounts = [account for page in pages for account in page["Accounts"]]
    aws.expect("30 accounts", len(accounts) == 30)
    account = accounts[0]["Id"]
    organizations.describe_account(AccountId=account)
    aws.refused(
        "AccountNotFoundException", organizations.describe_account, AccountId="999999999999"
    )
    units = organizations.list_organizational_units_for_parent(ParentId=root)["OrganizationalUnits"]
    unit = units[0]["Id"]
    aws.refused(
        "ParentNotFoundException",
        organizations.list_organizational_units_for_parent,
        ParentId="r-none",
    )
    organizations.describe_organizational_unit(OrganizationalUnitId=unit)
    aws.refused(
        "OrganizationalUnitNotFoundException",
        organizations.describe_organizational_unit,
        OrganizationalUnitId="ou-sim1-99999999",
    )
    parent = organizations.list_parents(ChildId=account)["Parents"][0]["Id"]
    aws.refused("ChildNotFoundException", organizations.list_parents, ChildId="999999999999")
    siblings = organizations.list_accounts_for_parent(ParentId=parent)["Accounts"]
    aws.expect("the account in its OU", account in [sibling["Id"] for sibling in siblings])
    organizations.list_children(ParentId=parent, ChildType="ACCOUNT")
    organizations.list_children(ParentId=root, ChildType="ORGANIZATIONAL_UNIT")
    for resource in (account, unit, root):
        tags = [{"Key": "owner", "Value": "ops"}, {"Key": "empty", "Value": ""}]
        organizations.tag_resource(ResourceId=resource, Tags=tags)
        organizations.untag_resource(ResourceId=resource, TagKeys=["empty"])
        found = organizations.list_tags_for_resource(ResourceId=resource)["Tags"]
        aws.expect("a tag", {"Key": "owner", "Value": "ops"} in found and tags[1] not in found)
    aws.refused(
        "TargetNotFoundException", organizations.list_tags_for_resource, ResourceId="999999999999"
    )
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    aws.refused(
        "ConstraintViolationException", organizations.tag_resource, ResourceId=root, Tags=many
    )
    system = [{"Key": "aws:x", "Value": "v"}]
    aws.refused("InvalidInputException", organizations.tag_resource, ResourceId=root, Tags=system)
    aws.refused("InvalidInputException", organizations.list_accounts, NextToken="nonsense")


def tagging(aws):
    tagging, organizations = aws.client["resourcegroupstaggingapi"], aws.client["organizations"]
    account = organizations.list_accounts()["Accounts"][-1]
    tags = [{"Key": "cost-center", "Value": "4711"}, {"Key": "empty", "Value": ""}]
    organizations.tag_resource(ResourceId=account["Id"], Tags=tags)
    pages = tagging.get_paginator("get_resources").paginate(
        ResourceTypeFilters=["organizations:account"], ResourcesPerPage=4
    )
    found = {
        resource["ResourceARN"]: resource["Tags"]
        for page in pages
        for resource in page["ResourceTagMappingList"]
    }
    aws.expect("the accounts with tags", 15 <= len(found) < 30)
    aws.expect("the tags", all(tag in found[account["Arn"]] for tag in tags))
    by_tag = tagging.get_resources(TagFilters=[{"Key": "cost-center", "Values": ["4711"]}])
    by_arn = tagging.get_resources(ResourceARNList=[account["Arn"]])
    aws.expect(
        "the one account",
        by_tag["ResourceTagMappingList"] == by_arn["ResourceTagMappingList"]
        and len(by_arn["ResourceTagMappingList"]) == 1,
    )
    others = tagging.get_resources(ResourceTypeFilters=["ec2:instance"])
    aws.expect("no instance", others["ResourceTagMappingList"] == [])
    aws.refused("InvalidParameterException", tagging.get_resources, ResourcesPerPage=101)
    aws.refused("InvalidParameterException", tagging.get_resources, PaginationToken="nonsense")
    aws.refused(
        "InvalidParameterException",
        tagging.get_resources,
        ResourceARNList=[account["Arn"]],
        TagFilters=[{"Key": "cost-center"}],
    )


def sqs(aws):
    sqs = aws.client["sqs"]
    dead = sqs.create_queue(QueueName="conformance-dead.fifo", Attributes={"FifoQueue": "true"})[
        "QueueUrl"
    ]
    aws.expect("a URL of this server", dead.startswith(aws.endpoint))
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["All"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    attributes = {
        "FifoQueue": "true",
        "ContentBasedDeduplication": "true",
        "RedrivePolicy": redrive,
    }
    queue = sqs.create_queue(
        QueueName="conformance.fifo", Attributes=attributes, tags={"owner": "ops"}
    )["QueueUrl"]
    again = sqs.create_queue(QueueName="conformance.fifo", Attributes={"FifoQueue": "true"})
    aws.expect("the same queue", again["QueueUrl"] == queue)
    aws.refused(
        "QueueAlreadyExists",
        sqs.create_queue,
        QueueName="conformance.fifo",
        Attributes={"FifoQueue": "true", "VisibilityTimeout": "7"},
    )
    aws.refused("InvalidAttributeName", sqs.create_queue, QueueName="other", Attributes={"X": "1"})
    aws.refused(
        "InvalidAttributeValue",
        sqs.create_queue,
        QueueName="other",
        Attributes={"DelaySeconds": "901"},
    )
    aws.refused("InvalidParameterValue", sqs.create_queue, QueueName="other.fifo")
    aws.expect("the URL", sqs.get_queue_url(QueueName="conformance.fifo")["QueueUrl"] == queue)
    aws.refused("AWS.SimpleQueueService.NonExistentQueue", sqs.get_queue_url, QueueName="nothing")
    aws.expect("two queues", len(sqs.list_queues(QueueNamePrefix="conformance")["QueueUrls"]) == 2)
    page = sqs.list_queues(MaxResults=1)
    sqs.list_queues(MaxResults=1, NextToken=page["NextToken"])
    sources = sqs.list_dead_letter_source_queues(QueueUrl=dead)
    aws.expect("the source", sources["queueUrls"] == [queue])
    sqs.tag_queue(QueueUrl=queue, Tags={"a": "b"})
    sqs.untag_queue(QueueUrl=queue, TagKeys=["owner"])
    aws.expect("one tag", sqs.list_queue_tags(QueueUrl=queue)["Tags"] == {"a": "b"})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "60"})
    aws.refused(
        "InvalidAttributeName", sqs.get_queue_attributes, QueueUrl=queue, AttributeNames=["X"]
    )

    attributes = {
        "text": {"DataType": "String", "StringValue": "ä"},
        "number": {"DataType": "Number", "StringValue": "1"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
    }
    first = sqs.send_message(
        QueueUrl=queue, MessageBody="first", MessageGroupId="a", MessageAttributes=attributes
    )
    aws.expect("the body's digest", first["MD5OfMessageBody"] == hashlib.md5(b"first").hexdigest())
    digest = md5_of(attributes)
    aws.expect("the attributes' digest", first["MD5OfMessageAttributes"] == digest)
    repeated = sqs.send_message(QueueUrl=queue, MessageBody="first", MessageGroupId="a")
    aws.expect("one message", first["MessageId"] == repeated["MessageId"])
    aws.refused("MissingParameter", sqs.send_message, QueueUrl=queue, MessageBody="first")
    aws.refused(
        "InvalidMessageContents",
        sqs.send_message,
        QueueUrl=queue,
        MessageBody="\x01",
        MessageGroupId="a",
    )
    entries = [
        {"Id": str(n), "MessageBody": f"message {n}", "MessageGroupId": f"g{n}"} for n in range(5)
    ]
    entries.append({"Id": "bad", "MessageBody": "no group"})
    sent = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    aws.expect("one failure", [failed["Id"] for failed in sent["Failed"]] == ["bad"])
    aws.refused(
        "AWS.SimpleQueueService.EmptyBatchRequest",
        sqs.send_message_batch,
        QueueUrl=queue,
        Entries=[],
    )
    twice = [{"Id": "a", "MessageBody": "x", "MessageGroupId": "a"}] * 2
    aws.refused(
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        sqs.send_message_batch,
        QueueUrl=queue,
        Entries=twice,
    )
    eleven = [{"Id": str(n), "MessageBody": "x", "MessageGroupId": "a"} for n in range(11)]
    aws.refused(
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        sqs.send_message_batch,
        QueueUrl=queue,
        Entries=eleven,
    )

    # Any form of URL is good.
    path = queue.removeprefix(aws.endpoint)
    received = sqs.receive_message(
        QueueUrl=f"https://sqs.us-east-1.amazonaws.com{path}",
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    )["Messages"]
    aws.expect("six messages", len(received) == 6)
    aws.expect("the attributes", received[0]["MessageAttributes"] == attributes)
    aws.expect("their digest", received[0]["MD5OfMessageAttributes"] == digest)
    handles = [message["ReceiptHandle"] for message in received]
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handles[0], VisibilityTimeout=90)
    changes = [{"Id": "a", "ReceiptHandle": handles[1], "VisibilityTimeout": 90}]
    changes.append({"Id": "b", "ReceiptHandle": "nonsense", "VisibilityTimeout": 90})
    changed = sqs.change_message_visibility_batch(QueueUrl=queue, Entries=changes)
    aws.expect("one failure", len(changed["Failed"]) == 1)
    aws.refused(
        "ReceiptHandleIsInvalid", sqs.delete_message, QueueUrl=queue, ReceiptHandle="nonsense"
    )
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=handles[0])
    deletions = [{"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate(handles[1:4])]
    deletions.append({"Id": "bad", "ReceiptHandle": "nonsense"})
    deleted = sqs.delete_message_batch(QueueUrl=queue, Entries=deletions)
    aws.expect("three deleted", len(deleted["Successful"]) == 3)

    start = time.monotonic()
    empty = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1)
    aws.expect(
        "a long poll of a second", "Messages" not in empty and time.monotonic() - start > 0.9
    )
    sqs.purge_queue(QueueUrl=queue)
    aws.refused("AWS.SimpleQueueService.PurgeQueueInProgress", sqs.purge_queue, QueueUrl=queue)
    sqs.delete_queue(QueueUrl=queue)
    aws.refused("AWS.SimpleQueueService.NonExistentQueue", sqs.purge_queue, QueueUrl=queue)
    aws.refused(
        "AWS.SimpleQueueService.QueueDeletedRecently",
        sqs.create_queue,
        QueueName="conformance.fifo",
        Attributes={"FifoQueue": "true"},
    )


def sns(aws):
    sns, sqs = aws.client["sns"], aws.client["sqs"]
    queue = sqs.create_queue(QueueName="conformance-topic")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    tags = [{"Key": "owner", "Value": "ops"}]
    topic = sns.create_topic(Name="conformance", Tags=tags, Attributes={"DisplayName": "A & B"})[
        "TopicArn"
    ]
    aws.refused("InvalidParameter", sns.create_topic, Name="with space")
    aws.expect("two topics", len(sns.list_topics()["Topics"]) == 2)
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    aws.expect("a display name", attributes["DisplayName"] == "A & B")
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="C")
    aws.refused("NotFound", sns.get_topic_attributes, TopicArn=topic + "x")
    sns.tag_resource(ResourceArn=topic, Tags=[{"Key": "a", "Value": "b"}])
    sns.untag_resource(ResourceArn=topic, TagKeys=["owner"])
    aws.expect(
        "one tag",
        sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "a", "Value": "b"}],
    )
    aws.refused("ResourceNotFound", sns.list_tags_for_resource, ResourceArn=topic + "x")
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)[
        "SubscriptionArn"
    ]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.com")
    aws.refused("InvalidParameter", sns.subscribe, TopicArn=topic, Protocol="pigeon", Endpoint="x")
    aws.expect("two subscriptions", len(sns.list_subscriptions()["Subscriptions"]) == 2)
    sns.list_subscriptions_by_topic(TopicArn=topic)
    published = sns.publish(TopicArn=topic, Subject="Alert", Message="<a> & b")
    body = json.loads(sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"])
    aws.expect(
        "the message", (body["MessageId"], body["Message"]) == (published["MessageId"], "<a> & b")
    )
    aws.refused("InvalidParameter", sns.publish, TopicArn=topic, Message="a", Subject="two\nlines")
    aws.refused("NotFound", sns.publish, TopicArn=topic + "x", Message="a")
    sns.unsubscribe(SubscriptionArn=subscription)
    aws.refused("NotFound", sns.unsubscribe, SubscriptionArn=subscription)
    sns.delete_topic(TopicArn=topic)


def sts(aws):
    identity = aws.client["sts"].get_caller_identity()
    aws.expect("the management account", identity["Account"] == "123456789012")


def controltower(aws):
    tower = aws.client["controltower"]
    zone = tower.list_landing_zones()["landingZones"][0]["arn"]
    found = tower.get_landing_zone(landingZoneIdentifier=zone)["landingZone"]
    aws.expect("a landing zone in place", found["status"] == "ACTIVE")
    aws.refused(
        "ResourceNotFoundException", tower.get_landing_zone, landingZoneIdentifier=zone + "X"
    )
    baselines = [
        baseline
        for page in tower.get_paginator("list_baselines").paginate()
        for baseline in page["baselines"]
    ]
    [of_ous] = [one["arn"] for one in baselines if one["name"] == "AWSControlTowerBaseline"]
    pages = tower.get_paginator("list_enabled_baselines").paginate(
        filter={"baselineIdentifiers": [of_ous]}, PaginationConfig={"PageSize": 5}
    )
    targets = [one["targetIdentifier"] for page in pages for one in page["enabledBaselines"]]
    aws.expect("registered OUs", targets and all(":ou/" in target for target in targets))
    one = tower.list_enabled_baselines(
        filter={"targetIdentifiers": targets[:1]}, includeChildren=True
    )
    aws.expect("one OU", len(one["enabledBaselines"]) == 1)
    within = {"parentIdentifiers": [one["enabledBaselines"][0]["arn"]]}
    accounts = tower.list_enabled_baselines(filter=within, includeChildren=True)
    aws.expect("its accounts", ":account/" in accounts["enabledBaselines"][0]["targetIdentifier"])
    aws.refused("ValidationException", tower.list_enabled_baselines, nextToken="nonsense")
    unregistered = json.dumps({"unregistered_ous": [targets[0].rsplit("/", 1)[1]]})
    aws.control("state", unregistered.encode())
    left = tower.list_enabled_baselines(filter={"baselineIdentifiers": [of_ous]})
    aws.expect("one less", len(left["enabledBaselines"]) == len(targets) - 1)
    for status in ("PROCESSING", "FAILED"):
        aws.control("state", json.dumps({"landing_zone": {"status": status}}).encode())
        found = tower.get_landing_zone(landingZoneIdentifier=zone)["landingZone"]
        aws.expect("the status that was set", found["status"] == status)
    for fares, code in (("throttled", "ThrottlingException"), ("denied", "AccessDeniedException")):
        next_call = {"operation": "ListBaselines", "fares": fares}
        aws.control("next-call", json.dumps(next_call).encode())
        aws.refused(code, tower.list_baselines)


def identity_center(aws):
    instances = aws.client["sso-admin"].list_instances()["Instances"]
    store = instances[0]["IdentityStoreId"]
    aws.expect("an identity store", store.startswith("d-"))

    catalog, identities = aws.client["servicecatalog"], aws.client["identitystore"]
    product = catalog.search_provisioned_products()["ProvisionedProducts"][-1]
    record = catalog.describe_provisioned_product(Id=product["Id"])["ProvisionedProductDetail"]
    record = record["LastSuccessfulProvisioningRecordId"]
    pages = every_page(
        catalog.describe_record, "PageToken", "NextPageToken", Id=record, PageSize=2
    )
    outputs = [output for page in pages for output in page["RecordOutputs"]]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in outputs}
    keys = {"AccountEmail", "AccountId", "SSOUserEmail"}
    aws.expect("the outputs of an account", outputs.keys() == keys)

    def named(path, value):
        attribute = {"AttributePath": path, "AttributeValue": value}
        return {
            "IdentityStoreId": store,
            "AlternateIdentifier": {"UniqueAttribute": attribute},
        }

    email = outputs["SSOUserEmail"]
    ids = {
        identities.get_user_id(**named(path, email))["UserId"]
        for path in ("emails.value", "userName")
    }
    aws.expect("one user", len(ids) == 1)
    user = identities.describe_user(IdentityStoreId=store, UserId=ids.pop())
    aws.expect("the user's email", user["Emails"][0]["Value"] == email)
    aws.expect("both names", {"GivenName", "FamilyName"} <= user["Name"].keys())
    nobody = named("userName", "nobody@example.com")
    aws.refused("ResourceNotFoundException", identities.get_user_id, **nobody)
    aws.refused("ValidationException", identities.get_user_id, **named("title", "x"))
    nobody["IdentityStoreId"] = "d-0000000000"
    aws.refused("ResourceNotFoundException", identities.get_user_id, **nobody)
    aws.refused(
        "ResourceNotFoundException",
        identities.describe_user,
        IdentityStoreId=store,
        UserId="00000000-0000-4000-8000-000000000000",
    )


def support(aws):
    support = aws.client["support"]
    service = "service-ams-operations-service-request"
    services = support.describe_services(serviceCodeList=[service], language="en")["services"]
    aws.expect("the category", services[0]["categories"][0]["code"] == "onboarding-or-offboarding")
    support.describe_severity_levels(language="en")
    case = {
        "subject": "Onboard 111122223333",
        "communicationBody": "Please.",
        "serviceCode": service,
        "categoryCode": "onboarding-or-offboarding",
        "severityCode": "low",
        "ccEmailAddresses": ["ops@example.com"],
        "language": "en",
        "issueType": "customer-service",
    }
    ids = [support.create_case(**case)["caseId"] for _ in range(12)]
    aws.refused("DryRunOperationException", support.create_case, dryRun=True, **case)
    aws.refused("ValidationException", support.create_case, **{**case, "severityCode": "worst"})
    aws.refused("AttachmentSetIdNotFound", support.create_case, attachmentSetId="x", **case)
    cases = [
        case
        for page in support.get_paginator("describe_cases").paginate()
        for case in page["cases"]
    ]
    aws.expect("every case", {case["caseId"] for case in cases} == set(ids))
    for number in range(12):
        support.add_communication_to_case(caseId=ids[0], communicationBody=f"number {number}")
    recent = support.describe_cases(caseIdList=[ids[0]])["cases"][0]["recentCommunications"]
    aws.expect("the recent ones", len(recent["communications"]) == 5 and recent["nextToken"])
    pages = support.get_paginator("describe_communications").paginate(caseId=ids[0])
    aws.expect("13 communications", sum(len(page["communications"]) for page in pages) == 13)
    support.resolve_case(caseId=ids[0])
    for call in (support.describe_communications, support.resolve_case):
        aws.refused("CaseIdNotFound", call, caseId="case-nothing")
    aws.refused("CaseIdNotFound", support.describe_cases, caseIdList=["case-nothing"])
    aws.refused(
        "CaseIdNotFound", support.add_communication_to_case, caseId="x", communicationBody="x"
    )


def dynamodb(aws):
    dynamo = aws.client["dynamodb"]
    table = dynamo.describe_table(TableName="groundcrew")["Table"]
    aws.expect("an active table", table["TableStatus"] == "ACTIVE")

    def key(number):
        return {"pk": {"S": "conformance"}, "sk": {"S": f"{number:02}"}}

    item = {"version": {"N": "1"}, "value": {"S": "x" * 200_000}}
    for number in range(10):
        dynamo.put_item(TableName="groundcrew", Item={**item, **key(number)})
    new = {
        "TableName": "groundcrew",
        "Item": key(0),
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    aws.refused("ConditionalCheckFailedException", dynamo.put_item, **new)
    aws.refused(
        "ValidationException", dynamo.put_item, TableName="groundcrew", Item={"pk": {"S": "a"}}
    )
    aws.refused("ResourceNotFoundException", dynamo.get_item, TableName="nothing", Key=key(0))
    aws.refused("ResourceNotFoundException", dynamo.describe_table, TableName="nothing")
    found = dynamo.get_item(TableName="groundcrew", Key=key(0), ConsistentRead=True)["Item"]
    aws.expect("the item", found == {**item, **key(0)})
    dynamo.get_item(TableName="groundcrew", Key=key(99))
    query = {
        "TableName": "groundcrew",
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": "conformance"}},
        "ConsistentRead": True,
    }
    counts = [page["Count"] for page in dynamo.get_paginator("query").paginate(**query)]
    aws.expect("ten items on two pages", counts == [5, 5])
    query["KeyConditionExpression"] = "pk > :pk"
    aws.refused("ValidationException", dynamo.query, **query)

    seen = {
        "ConditionExpression": "#version = :expected",
        "ExpressionAttributeNames": {"#version": "version"},
        "ExpressionAttributeValues": {":expected": {"N": "1"}},
    }
    writes = [
        {"Put": {"TableName": "groundcrew", "Item": key(50)}},
        {"Delete": {"TableName": "groundcrew", "Key": key(2), **seen}},
    ]
    for _ in range(2):
        dynamo.transact_write_items(TransactItems=writes, ClientRequestToken="token")
    aws.refused(
        "IdempotentParameterMismatchException",
        dynamo.transact_write_items,
        TransactItems=writes[:1],
        ClientRequestToken="token",
    )
    aws.refused("TransactionCanceledException", dynamo.transact_write_items, TransactItems=writes)


def md5_of(attributes):
    """The digest of message attributes, as the developer guide of SQS has it."""

    def sized(data):
        return struct.pack(">I", len(data)) + data

    digest = hashlib.md5()
    for name, attribute in sorted(attributes.items()):
        digest.update(sized(name.encode()) + sized(attribute["DataType"].encode()))
        if "BinaryValue" in attribute:
            digest.update(b"\x02" + sized(attribute["BinaryValue"]))
        else:
            digest.update(b"\x01" + sized(attribute["StringValue"].encode()))
    return digest.hexdigest()


def every_page(call, given, answered, **members):
    """The pages of an operation for which botocore has no paginator."""
    while True:
        page = call(**members)
        yield page
        if answered not in page:
            return
        members[given] = page[answered]


def until(holds, seconds=20):
    """Waits for what takes the server a moment."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("it never happened")
        time.sleep(0.1)


def main():
    checker = Checker()
    aws = Aws(sys.argv[1].rstrip("/"), checker)
    exercises = (service_catalog, organizations, tagging, sqs, sns, sts, support, dynamodb)
    for exercise in (*exercises, controltower, identity_center):
        exercise(aws)
    offered = {
        (service, name) for service, names in aws.control("offered").items() for name in names
    }
    for service, name in sorted(offered - checker.called):
        checker.problem(f"{service} {name}: never called")
    problems = len(checker.problems)
    print(f"{len(offered)} operations, {checker.answers} answers checked, {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
