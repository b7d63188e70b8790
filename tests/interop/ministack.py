"""Has ministack run the Lambda: `ministack.py BOOTSTRAP.zip ENVIRONMENT.json EVENT.json`.

An EventBridge rule's target is the function, its input the event: ministack takes no
events of AWS's own sources from users, as AWS doesn't. Ends when the function was invoked
by it. The endpoint and credentials come from the environment.
"""

import json
import sys

import boto3

bootstrap, environment, event = sys.argv[1:]
functions = boto3.client("lambda")
function = functions.create_function(
    FunctionName="groundcrew",
    Runtime="provided.al2023",
    Role="arn:aws:iam::000000000000:role/groundcrew",
    Handler="bootstrap",
    Code={"ZipFile": open(bootstrap, "rb").read()},
    Timeout=60,
    Environment={"Variables": json.load(open(environment))},
)
events = boto3.client("events")
events.put_rule(Name="landed", EventPattern=json.dumps({"source": ["test"]}))
events.put_targets(
    Rule="landed",
    Targets=[{"Id": "groundcrew", "Arn": function["FunctionArn"], "Input": open(event).read()}],
)
put = events.put_events(
    Entries=[{"Source": "test", "DetailType": "test", "Detail": "{}"}]
)
assert put["FailedEntryCount"] == 0, put
