"""How long a plan of 10,000 accounts takes, and how many decisions a second that is.

    plan.py GROUNDCREW
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ACCOUNTS = 10_000
RUNS = 7
OUS = [["Workloads", "Prod"], ["Workloads", "Test"], ["Workloads", "Dev"], ["Sandbox"]]
ENVIRONMENTS = ["prod", "test", "dev", None]

accounts = []
for number in range(ACCOUNTS):
    environment = ENVIRONMENTS[number % 4]
    tags = {"owner": "team-%d" % (number % 97), "cost-center": "%05d" % (number % 313)}
    if environment:
        tags["environment"] = environment
    if number % 2:
        tags["account-factory-managed"] = "true"
    accounts.append({"id": "%012d" % (200000000000 + number), "name": "account-%05d" % number,
                     "ou": OUS[number % 4], "tags": tags})

place = pathlib.Path(tempfile.mkdtemp())
snapshot = place / "snapshot.json"
snapshot.write_text(json.dumps({"accounts": accounts}))

rollout = place / "ring-rollout.toml"
script = pathlib.Path(__file__).resolve().parents[2] / "policies/ring-rollout.rego"
lanes = "".join('[[lanes]]\nname = "%s"\n' % lane for lane in ("canary", "test", "prod"))
rollout.write_text('%s[[policies]]\nplugin = "%s"\nsettings.default_lane = "prod"\n' % (lanes, script))

for config in ("policies/priority.toml", str(rollout), "policies/rings.toml"):
    command = [sys.argv[1], "plan", "--config", config, "--snapshot", str(snapshot)]
    times = []
    for _ in range(RUNS + 1):  # the first fills the compile cache
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    took = statistics.median(times[1:])
    print("plan %-28s %5d accounts %6.3f s  %8.0f accounts/s" % (
        pathlib.Path(config).name, ACCOUNTS, took, ACCOUNTS / took))
