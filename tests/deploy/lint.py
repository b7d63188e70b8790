"""cfn-lint and checkov find nothing in the templates: `lint.py [TEMPLATE...]`.

Exceptions are in the templates themselves, each with its reason. The tools are those of
.venv-lint, made from tests/requirements-lint.txt, or of the directory that GROUNDCREW_LINT_BIN
names.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from template import ROOT, TEMPLATES, load

BIN = Path(os.environ.get("GROUNDCREW_LINT_BIN", ROOT / ".venv-lint" / "bin"))


def tool(name):
    path = BIN / name
    if not path.exists():
        sys.exit(
            f"{path} does not exist: python3 -m venv .venv-lint, then "
            ".venv-lint/bin/pip install -r tests/requirements-lint.txt"
        )
    return str(path)


def cfn_lint(template):
    """The findings of cfn-lint: errors, warnings and informational ones."""
    run = subprocess.run(
        [tool("cfn-lint"), "--include-checks", "I", "--format", "json", str(template)],
        capture_output=True,
        text=True,
    )
    try:
        found = json.loads(run.stdout or "[]")
    except ValueError:
        sys.exit(f"cfn-lint says what is no JSON:\n{run.stdout}{run.stderr}")
    if run.returncode and not found:
        sys.exit(f"cfn-lint ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    for one in found:
        line = one["Location"]["Start"]["LineNumber"]
        yield f"{template.name}:{line}: {one['Rule']['Id']} {one['Message'][:200]}"


def checkov(template):
    """The findings of checkov; fails if it checked nothing."""
    run = subprocess.run(
        [tool("checkov"), "--skip-download", "--framework", "cloudformation", "--output", "json"]
        # Not the whole path: it gets into what checkov looks at, and where it has forty letters and
        # slashes before its dot it is taken for a secret key (CKV_AWS_45).
        + ["--file", os.path.relpath(template, ROOT)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    try:
        report = json.loads(run.stdout)
    except ValueError:
        sys.exit(f"checkov says what is no JSON:\n{run.stdout}{run.stderr}")
    if report["summary"]["parsing_errors"] or report["summary"]["passed"] < 20:
        sys.exit(f"checkov could not read {template.name}: {report['summary']}")
    for one in report["results"]["failed_checks"]:
        line = one["file_line_range"][0]
        yield f"{template.name}:{line}: {one['check_id']} {one['check_name']}"


def without_reason(template):
    """Exceptions from checkov's checks that don't say why."""
    for name, resource in load(template)["Resources"].items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            if len(skip.get("comment", "")) < 20:
                yield f"{template.name}: {name}: {skip['id']} is skipped without a reason"


def main():
    templates = [Path(name) for name in sys.argv[1:]] or TEMPLATES
    found = [
        line
        for template in templates
        for look in (cfn_lint, checkov, without_reason)
        for line in look(template)
    ]
    print("\n".join(found) or f"{len(templates)} templates: nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
