"""CloudFormation templates as Python: what the scripts beside this one share."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "cloudformation"
TEMPLATES = [FOLDER / "lambda.yaml", FOLDER / "fargate.yaml"]


class Loader(yaml.SafeLoader):
    """Reads the short forms of functions as their long ones."""


def _function(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _function)


def load(path):
    """The template, with each function as a mapping."""
    return yaml.load(Path(path).read_text(), Loader)


def text(value):
    """A value for people: functions as the names that they refer to."""
    if isinstance(value, dict) and len(value) == 1:
        (function, argument), = value.items()
        if function == "Ref":
            return f"${{{argument}}}"
        if function == "Fn::GetAtt":
            return f"${{{'.'.join(argument)}}}"
        if function == "Fn::Sub" and isinstance(argument, str):
            return argument
        if function == "Fn::Split":
            return text(argument[1])
    if isinstance(value, str):
        return value
    return re.sub(r"\s+", " ", str(value))
