"""What others do with boto3 while a fleet update runs on the same AWS: lists, pages, and an
update of an account's product by hand. `concurrent_update.py ACCOUNT`. Prints JSON.
"""

import json
import sys

import boto3

PARAMETERS = [
    "AccountEmail",
    "AccountName",
    "ManagedOrganizationalUnit",
    "SSOUserEmail",
    "SSOUserFirstName",
    "SSOUserLastName",
]

account = sys.argv[1]
organizations = boto3.client("organizations")
pages = organizations.get_paginator("list_accounts").paginate()
accounts = sorted(one["Id"] for page in pages for one in page["Accounts"])

catalog = boto3.client("servicecatalog")
found = catalog.search_provisioned_products(
    AccessLevelFilter={"Key": "Account", "Value": "self"},
    Filters={"SearchQuery": [f"physicalId:{account}"]},
)["ProvisionedProducts"]
(product,) = [one for one in found if one["PhysicalId"] == account]
name = "AWS Control Tower Account Factory"
factory = catalog.describe_product_as_admin(Name=name)["ProductViewDetail"]["ProductViewSummary"]
versions = catalog.list_provisioning_artifacts(ProductId=factory["ProductId"])
newest = max(versions["ProvisioningArtifactDetails"], key=lambda one: one["CreatedTime"])
path = catalog.list_launch_paths(ProductId=factory["ProductId"])["LaunchPathSummaries"][0]
started = catalog.update_provisioned_product(
    ProvisionedProductId=product["Id"],
    ProductId=factory["ProductId"],
    ProvisioningArtifactId=newest["Id"],
    PathId=path["Id"],
    ProvisioningParameters=[{"Key": key, "UsePreviousValue": True} for key in PARAMETERS],
    UpdateToken="by-hand",
)
print(json.dumps({"accounts": accounts, "record": started["RecordDetail"]["RecordId"]}))
