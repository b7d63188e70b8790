"""How fast a created account becomes a case: groundcrew's package for Lambda, and a handler in
Python, on one constant endpoint in one run.

    onboarding.py GROUNDCREW [HANDLER.py]

HANDLER.py has `lambda_handler(event, context)`; without it only groundcrew is measured. The
endpoint answers every AWS call at once and always the same, and is a Lambda Runtime API as
well. Prints medians: from the start of a process to its case, and one invocation of a process
that runs. Of memory it prints the most that was mapped, and what of that is the process's own:
the rest are pages of its files that the system has in memory anyway.
"""

import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
EVENT = (ROOT / "tests/events/create-managed-account-succeeded.json").read_text()
COLD = 20
WARM = 300

ACCOUNT = {"Id": "111122223333", "Name": "LifeCycle1", "Email": "a@example.com",
           "JoinedTimestamp": 1788249600.0, "Paths": ["o-1/r-1/ou-abcd-11111111/111122223333/"]}
ANSWERS = {
    "CreateCase": {"caseId": "case-123456789012-muen-2026-0123456789abcdef"},
    "DescribeCases": {"cases": []},
    "DescribeAccount": {"Account": ACCOUNT},
    "DescribeOrganizationalUnit": {"OrganizationalUnit": {"Id": "ou-abcd-11111111", "Name": "Prod"}},
    "ListParents": {"Parents": [{"Id": "r-1", "Type": "ROOT"}]},
    "ListTagsForResource": {"Tags": []},
    "TransactWriteItems": {},
    "GetItem": {},
}
PREPARED = {name: json.dumps(answer).encode() for name, answer in ANSWERS.items()}


class Endpoint:
    """AWS and the Runtime API, on one port. One thread for each connection."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.listen(64)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.calls = {}
        self.case_opened = threading.Event()
        self.case_time = 0.0
        self.events = []
        self.durations = []
        self.done = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                read = connection.recv(65536)
                if not read:
                    return
                pending += read
            head, pending = pending.split(b"\r\n\r\n", 1)
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            length = int(length[1]) if length else 0
            while len(pending) < length:
                pending += connection.recv(65536)
            pending = pending[length:]
            if not self.answer(connection, head):
                return

    def answer(self, connection, head):
        path = head.split(b" ", 2)[1]
        if path.endswith(b"/invocation/next"):
            return self.next(connection)
        if b"/runtime/" in path:
            if path.endswith((b"/response", b"/error")):
                self.durations.append(time.perf_counter() - self.sent)
                assert path.endswith(b"/response"), path
            send(connection, b"202 Accepted", b"")
            return True
        target = re.search(rb"(?i)\r\nx-amz-target: *[\w]+\.(\w+)", head)
        operation = target[1].decode() if target else "query"
        self.calls[operation] = self.calls.get(operation, 0) + 1
        if operation == "CreateCase":
            self.case_time = time.perf_counter()
            self.case_opened.set()
        send(connection, b"200 OK", PREPARED.get(operation, b"{}"))
        return True

    def next(self, connection):
        if not self.events:
            self.done.set()
            return True  # the runtime waits until it is ended
        event = self.events.pop()
        self.sent = time.perf_counter()
        send(connection, b"200 OK", event,
             b"Lambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: %d\r\n"
             b"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:1:function:f\r\n"
             % ((time.time() + 60) * 1000))
        return True


def send(connection, status, body, more=b""):
    connection.sendall(
        b"HTTP/1.1 %s\r\nContent-Type: application/x-amz-json-1.1\r\nx-amzn-RequestId: 1\r\n"
        b"%sContent-Length: %d\r\n\r\n%s" % (status, more, len(body), body)
    )


def event(number):
    return EVENT.replace("111122223333", "%012d" % (100000000000 + number)).encode()


def memory(pid):
    """The peak resident memory, and the private memory now, in MiB."""
    status = pathlib.Path("/proc/%d/status" % pid).read_text()
    return [int(re.search(name + r":\s+(\d+)", status)[1]) / 1024 for name in ("VmHWM", "RssAnon")]


def measure(name, command, environment, endpoint, feed):
    """Cold: one process for each event. Warm: one process for all."""
    def start(events):
        endpoint.case_opened.clear()
        endpoint.done.clear()
        endpoint.durations.clear()
        feed(endpoint, events)
        began = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, **environment})
        return process, began

    cold = []
    for number in range(COLD + 1):
        process, began = start([event(number)])
        assert endpoint.case_opened.wait(30), "no case was opened"
        cold.append((endpoint.case_time - began) * 1000)
        endpoint.done.wait(30)
        process.kill()
        process.wait()
    process, _ = start([event(1000 + number) for number in range(WARM)])
    assert endpoint.done.wait(120), "the warm run did not end"
    most, own = memory(process.pid)
    process.kill()
    process.wait()
    warm = [duration * 1000 for duration in endpoint.durations[10:]]
    print("%-12s cold %7.1f ms   warm %6.2f ms   memory %5.1f MiB, %.1f of its own" % (
        name, statistics.median(cold[1:]), statistics.median(warm), most, own))


# Invoked by the Runtime API like any Lambda, by the shortest client there is.
PYTHON = """
import http.client, json, os, sys
sys.path.insert(0, os.path.dirname(sys.argv[1]))
handler = __import__(os.path.basename(sys.argv[1])[:-3])
class Context:
    function_name = "f"
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    event = json.loads(api.getresponse().read())
    answer = handler.lambda_handler(event, Context())
    assert answer["statusCode"] == 200, answer
    api.request("POST", "/2018-06-01/runtime/invocation/1/response", json.dumps(answer))
    api.getresponse().read()
"""


def packaged(binary, place):
    """Unpacked as Lambda does."""
    (place / "crew.toml").write_text(
        '[ledger]\ntable = "groundcrew"\n[[notifiers]]\nname = "ams"\nplugin = "ams-case"\n')
    subprocess.run([os.path.abspath(binary), "package", "--config", "crew.toml",
                    "--target", "lambda", "--out", "out"],
                   cwd=place, check=True, stdout=subprocess.DEVNULL)
    task = place / "task"
    with zipfile.ZipFile(place / "out/groundcrew-lambda.zip") as package:
        package.extractall(task)
    (task / "bootstrap").chmod(0o755)
    return task


def main():
    binary, *handler = sys.argv[1:]
    endpoint = Endpoint()
    task = packaged(binary, pathlib.Path(tempfile.mkdtemp()))
    environment = {
        "AWS_LAMBDA_RUNTIME_API": endpoint.address,
        "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_LOG_GROUP_NAME": "g",
        "AWS_LAMBDA_LOG_STREAM_NAME": "s", "AWS_ENDPOINT_URL": "http://" + endpoint.address,
        "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "LAMBDA_TASK_ROOT": str(task),
        "GROUNDCREW_CACHE": "", "GROUNDCREW_LOG": "off",
    }

    def feed(endpoint, events):
        endpoint.events = list(reversed(events))

    measure("groundcrew", [str(task / "bootstrap")], environment, endpoint, feed)
    if handler:
        command = [sys.executable, "-c", PYTHON, os.path.abspath(handler[0])]
        measure("python", command, environment, endpoint, feed)
    print("calls:", json.dumps(endpoint.calls))


main()
