"""What a role of the templates allows: `permissions.py --role ROLE [--template FILE]`.

ROLE is `events`, `notifications` or `updates` (lambda.yaml), or `task` (fargate.yaml). Prints one
JSON line for each statement, of the role's own policies and of the managed ones of the template
that it has:

  {"role": "events", "sid": "CallsAlerts", "for": "code", "actions": ["sns:Publish"],
   "resources": ["${Alerts}"], "policy": "HostPolicy", "condition": null, "when": null}

`for` says whom the statement is for, by the prefix of its id:

  code           Calls…     groundcrew's own code makes these calls
  aws            Implied…   AWS demands it beside the calls: logs, keys, event sources, destinations
  control-tower  Demanded…  Control Tower demands it of whoever calls Account Factory

`when` names the template's condition under which the statement is there.

Actions are IAM's, which are not always the names of the calls: SendMessageBatch takes
sqs:SendMessage, TransactWriteItems dynamodb:PutItem, GetResources
tag:GetResources, ListInstances sso:ListInstances.
"""

import argparse
import json
import sys

from template import FOLDER, load, text

ROLES = {
    "events": ("lambda.yaml", "EventsRole"),
    "notifications": ("lambda.yaml", "NotificationsRole"),
    "updates": ("lambda.yaml", "UpdatesRole"),
    "task": ("fargate.yaml", "TaskRole"),
}
PURPOSES = {"Calls": "code", "Implied": "aws", "Demanded": "control-tower"}


def as_list(value):
    return value if isinstance(value, list) else [value]


def statements(template, role):
    """The statements of a role with the policy that each is in."""
    resources = template["Resources"]
    if role not in resources:
        sys.exit(f"the template has no role {role}")
    properties = resources[role]["Properties"]
    for policy in properties.get("Policies", []):
        yield from ((policy["PolicyName"], s) for s in policy["PolicyDocument"]["Statement"])
    for managed in properties.get("ManagedPolicyArns", []):
        name = managed.get("Ref") if isinstance(managed, dict) else None
        if name not in resources:
            sys.exit(f"{role} has a managed policy that is not in the template: {text(managed)}")
        document = resources[name]["Properties"]["PolicyDocument"]
        yield from ((name, s) for s in document["Statement"])


def described(role, policy, statement):
    """One line. Statements that depend on a condition are `Fn::If` with nothing else."""
    when = None
    if "Fn::If" in statement:
        when, statement, otherwise = statement["Fn::If"]
        if otherwise != {"Ref": "AWS::NoValue"}:
            sys.exit(f"{role}: a statement that is another one without {when}")
    sid = statement.get("Sid", "")
    purpose = next((of for prefix, of in PURPOSES.items() if sid.startswith(prefix)), None)
    if purpose is None:
        sys.exit(f"{role}: the id `{sid}` begins with none of {', '.join(PURPOSES)}")
    if statement["Effect"] != "Allow" or "NotAction" in statement or "NotResource" in statement:
        sys.exit(f"{role}: {sid}: only what allows named actions can be listed")
    actions = sorted(as_list(statement["Action"]))
    if purpose == "code" and any("*" in action for action in actions):
        sys.exit(f"{role}: {sid}: a call that code makes has a name, not a pattern: {actions}")
    return {
        "role": role,
        "sid": sid,
        "for": purpose,
        "actions": actions,
        "resources": [text(one) for one in as_list(statement["Resource"])],
        "policy": policy,
        "condition": statement.get("Condition"),
        "when": when,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--role", required=True, choices=ROLES)
    parser.add_argument("--template", help="another file than that of deploy/cloudformation")
    options = parser.parse_args()
    file, role = ROLES[options.role]
    template = load(options.template or FOLDER / file)
    for policy, statement in statements(template, role):
        print(json.dumps(described(options.role, policy, statement)))


if __name__ == "__main__":
    main()
