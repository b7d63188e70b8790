"""Evaluates a rule with regopy, an engine for Rego that shares no code with regorus.

Reads JSON lines: first {"script", "rule", "data"}, then one input document each. Writes a line
for each input: the rule's value, {"undefined": true} or {"error": true}.
"""

import json
import sys

try:
    import regopy
except ImportError:
    sys.exit("regopy is not installed: run `make interop`")


def evaluate(engine, rule, document):
    engine.set_input(document)
    try:
        answer = json.loads(str(engine.query(f"x = {rule}")))
    except (regopy.RegoError, ValueError):
        return {"error": True}
    if not isinstance(answer, dict):
        return {"error": True}
    if "bindings" not in answer:
        return {"undefined": True}
    return answer["bindings"]["x"]


def main():
    asked = json.loads(sys.stdin.readline())
    engine = regopy.Interpreter()
    engine.strict_built_in_errors = True
    engine.add_module("script", asked["script"])
    engine.add_data(asked["data"])
    for line in sys.stdin:
        print(json.dumps(evaluate(engine, asked["rule"], json.loads(line))))


main()
