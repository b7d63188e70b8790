"""How many notifications the service delivers in a second: `notifications.py GROUNDCREW [EVENTS]`.

So many CreateManagedAccount events are put into the events queue of a simulated AWS; the service
takes them, hands each over to the notifications queue, takes it out of there, looks the account up,
claims it in the ledger, and opens an AMS case. All in real time, over HTTP on loopback; the
simulated AWS runs on the same machine and has its share of the time.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

groundcrew = pathlib.Path(sys.argv[1]).resolve()
events = int(sys.argv[2]) if len(sys.argv) > 2 else 500
root = pathlib.Path(__file__).resolve().parents[2]
event = (root / "tests/events/create-managed-account-succeeded.json").read_text()

CONFIG = """
[queues]
updates_url = "{url}/123456789012/groundcrew-updates.fifo"
events_url = "{url}/123456789012/groundcrew-events"
notifications_url = "{url}/123456789012/groundcrew-notifications.fifo"
[ledger]
{ledger}
[[notifiers]]
name = "ams"
plugin = "ams-case"
"""


def look(url, what, body=None):
    with urllib.request.urlopen(f"{url}/_groundcrew/{what}", body) as answer:
        return json.load(answer)


def measure(ledger):
    with tempfile.TemporaryDirectory() as folder:
        aws = subprocess.Popen(
            [groundcrew, "sim-aws", "--listen", "127.0.0.1:0", "--accounts", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        url = re.search(r"http://[\d.:]+", aws.stdout.readline()).group()
        config = pathlib.Path(folder) / "crew.toml"
        config.write_text(CONFIG.format(url=url, ledger=ledger))
        environment = os.environ | {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        }
        for number in range(events):
            one = event.replace("111122223333", f"{300000000000 + number}")
            look(url, "event", one.encode())
        service = subprocess.Popen(
            [groundcrew, "run", "--config", config, "--listen", "127.0.0.1:0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        while not look(url, "cases"):
            time.sleep(0.01)
        began, first = time.monotonic(), len(look(url, "cases"))
        while (told := len(look(url, "cases"))) < events:
            time.sleep(0.05)
        took = time.monotonic() - began
        for process in (service, aws):
            process.kill()
            process.wait()
        return (told - first) / took


print(f"{events} accounts, from event to case by way of the notifications queue")
for ledger in ('file = "crew.db"', 'table = "groundcrew"'):
    print(f"  ledger {ledger:24} {measure(ledger):6.0f} notifications a second")
