#!/usr/bin/env bash
# Measures what docs/benchmarks.md states: policy decisions, one notification, whole simulated
# fleets, plans, and a Lambda's way from an event to a case. A handler in Python to compare
# with is named in HANDLER; it needs boto3, which `make interop` installs.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo bench --package groundcrew-plugins --bench decision | grep 'time:'

cargo bench --package groundcrew-plugins --bench scripts | grep -E 'time:|thrpt:'

cargo bench --package groundcrew-plugins --bench notification | grep 'time:'
cargo bench --package groundcrew-ledger --bench notification | grep 'time:'

cargo build --release --package groundcrew
groundcrew="${CARGO_TARGET_DIR:-target}/release/groundcrew"

printf '\n%-44s %12s %9s %7s %9s\n' 'groundcrew simulate' 'simulated' '× bound' 'real' 'memory'
measure() {
    python3 - "$groundcrew" "$@" <<'PY'
import json, resource, subprocess, sys
run = subprocess.run([sys.argv[1], "simulate", "--format", "json", *sys.argv[2:]],
                     check=True, stdout=subprocess.PIPE)
report = json.loads(run.stdout)
time = report["time"]
bound = time["lower_bound_seconds"]
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print("%-44s %10.1f d %9.4f %5.1f s %5.0f MiB" % (
    " ".join(sys.argv[2:]).replace("policies/", ""), time["virtual_seconds"] / 86400,
    time["virtual_seconds"] / bound if bound else 1, time["real_seconds"], peak))
PY
}
measure --accounts 1000
measure --accounts 1000 --config policies/all-accounts.toml
measure --accounts 1000 --config policies/priority.toml
measure --accounts 10000
measure --accounts 10000 --config policies/all-accounts.toml
measure --accounts 10000 --config policies/priority.toml

printf '\n'
python3 tests/bench/plan.py "$groundcrew"

printf '\n'
python3 tests/bench/notifications.py "$groundcrew"

printf '\n'
python=.venv/bin/python
[ -x "$python" ] || python=python3
"$python" tests/bench/onboarding.py "$groundcrew" ${HANDLER:+"$HANDLER"}
