"""Evaluates built-in functions with Open Policy Agent itself, and writes their results to a file.

    python3.14 -m venv /tmp/opa && /tmp/opa/bin/pip install opa-golib-python-bindings==0.4.4
    /tmp/opa/bin/python tests/interop/opa.py plugins/rego/src/tests/opa/builtins.txt

Each line of the file is a call, and after ` => ` what OPA answers: JSON, `undefined` or `error`.
What is there is replaced; a new case is a line with the call only. No test needs this: the package
has OPA 1.20.2 for Python 3.14 and nothing older.
"""

import json
import sys

from opa_bindings import engine as opa


class Number(str):
    """A number as it is written: Python's would lose digits."""


def written(value):
    if isinstance(value, Number):
        return str.__str__(value)
    if isinstance(value, dict):
        fields = (f"{json.dumps(key, ensure_ascii=False)}: {written(v)}" for key, v in value.items())
        return "{" + ", ".join(fields) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def evaluate(call):
    engine = opa.OpaEngine()
    try:
        engine.add_policy("test.rego", f"package test\n\nx := {call}")
        return written(engine.eval_document("test.x"))
    finally:
        engine.close()


def answer(call):
    try:
        return evaluate(call)
    except opa.OpaError as error:
        if error.code == "undefined":
            return "undefined"
        if error.code != "internal":
            return "error"
    # A number that isn't written as JSON has it, such as 05.
    return evaluate(f"{call} + 0")


class Json:
    """The package's own, but for numbers."""

    loads = staticmethod(lambda text: json.loads(text, parse_float=Number, parse_int=Number))
    dumps = staticmethod(json.dumps)


def main():
    opa.json = Json
    path = sys.argv[1]
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    with open(path, "w", encoding="utf-8") as file:
        for line in lines:
            call = line.rsplit(" => ", 1)[0]
            is_case = call and not call.startswith("#")
            file.write(f"{call} => {answer(call)}\n" if is_case else f"{line}\n")


main()
