#!/usr/bin/env python3
"""Mutation tests: applies one mutant at a time, and checks that a test fails.

    run.py [--only SUBSTRING]... [--list]

The mutants are in mutants.toml beside this file: a text that is in a file exactly once, what replaces
it, and the test binaries that are run until one catches it, by their names in nextest. One line
is printed for each mutant: the tests that caught it, or SURVIVED. Exits with 1 when one survives,
when a text is not found exactly once, or when it does not compile: that proves
nothing.

The tree is never touched. Its files, as they are now, are copied into a folder of the target
directory; they are compiled into another one there, and both are kept, so that the next run
compiles only what has changed. Never into the ordinary target directory: cargo tells by path and
time what is to be compiled again, and a mutant applied here could end up in a build that is not a
trial.
"""

import argparse
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
WORK_DIR = TARGET / "mutants"
COPY = WORK_DIR / "source"
NEXTEST = subprocess.run(["cargo", "nextest", "--version"], capture_output=True).returncode == 0
# Most failed tests that are named; the others are counted.
MAX_LISTED = 3
# A mutant may make a test wait for ever. It gets so many times as long as without a mutant, and at
# least so many seconds, since other things may be running now and not then.
TIMEOUT_FACTOR = 6
MIN_TIMEOUT = 120

# The same random worlds each time; those that fail are neither made smaller nor written down.
# A warning is no reason not to compile a mutant.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "RUSTFLAGS"},
    "CARGO_TARGET_DIR": str(WORK_DIR / "target"),
    "CARGO_TERM_COLOR": "never",
    "PROPTEST_RNG_SEED": "1",
    "PROPTEST_DISABLE_FAILURE_PERSISTENCE": "true",
    "PROPTEST_MAX_SHRINK_ITERS": "0",
}

# The first failure ends the others, which nextest then calls SIGKILL.
FAILED_NEXTEST = re.compile(
    r"^\s*(?:FAIL|TIMEOUT|SIGABRT|SIGSEGV)\s+\[[^]]*\]\s+(?:\([^)]*\)\s+)?\S+ (\S+)", re.M)
FAILED_CARGO = re.compile(r"^test (\S+) .*FAILED$", re.M)


class InvalidMutant(Exception):
    """A mutant that proves nothing, or tests that fail without one."""


def mutants():
    """The mutants, with every mistake in their list found before anything is run."""
    all_of_them = tomllib.loads((HERE / "mutants.toml").read_text())["mutant"]
    names = [mutant["name"] for mutant in all_of_them]
    for name in names:
        if names.count(name) > 1:
            raise InvalidMutant(f"two mutants are named `{name}`")
    for mutant in all_of_them:
        if mutant.keys() != {"name", "file", "find", "replace", "tests"} or not mutant["tests"]:
            raise InvalidMutant(f"{mutant['name']}: it needs name, file, find, replace and tests")
        found = (ROOT / mutant["file"]).read_text().count(mutant["find"])
        if found != 1:
            raise InvalidMutant(f"{mutant['name']}: {mutant['file']} has its text {found} times")
    return all_of_them


def copy():
    """Copies the tree as it is now. Unchanged files keep their times."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = {name for name in names.split("\0") if name and (ROOT / name).is_file()}
    for path in COPY.rglob("*"):
        if path.is_file() and str(path.relative_to(COPY)) not in names:
            path.unlink()
    for name in sorted(names):
        here, there = ROOT / name, COPY / name
        if not there.exists() or there.read_bytes() != here.read_bytes():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(here, there)


def command(binary, packages, only_build):
    """How the tests of one binary are run: `package` for its unit tests, `package::name` for
    those in its tests/name. For these all packages are named, so that what they depend on has the
    same features for each and is compiled once."""
    package, _, name = binary.partition("::")
    named = packages if name else [package]
    which = [*(f"--package={one}" for one in named), f"--test={name}" if name else "--lib"]
    if NEXTEST:
        how = ["--no-run"] if only_build else [
            "--max-fail=1:immediate", "--status-level=fail", "--final-status-level=none",
            "--show-progress=none"]
        return ["cargo", "nextest", "run", *which, *how]
    return ["cargo", "test", *which, "--no-run" if only_build else "--no-fail-fast"]


def call(args, timeout=None):
    """Runs something to its end. Answers its return code, `None` if it was cut off, and what it
    printed."""
    running = subprocess.Popen(
        args, cwd=COPY, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True)
    try:
        output, _ = running.communicate(timeout=timeout)
        return running.returncode, output
    except BaseException as why:
        # With the tests that it has started.
        os.killpg(running.pid, signal.SIGKILL)
        output, _ = running.communicate()
        if isinstance(why, subprocess.TimeoutExpired):
            return None, output
        raise


def build(binary, packages):
    code, output = call(command(binary, packages, only_build=True))
    if code != 0:
        first = re.search(r"^error.*(?:\n.*){0,5}", output, re.M)
        raise InvalidMutant(f"{binary} does not compile\n{first[0] if first else output}")


def failing_tests(binary, packages, timeout):
    """The tests of a binary that fail."""
    code, output = call(command(binary, packages, only_build=False), timeout)
    if code == 0:
        return [], output
    names = (FAILED_NEXTEST if NEXTEST else FAILED_CARGO).findall(output)
    names = list(dict.fromkeys(names))
    if code is None:
        names.append(f"no end within {timeout:.0f} s")
    if not names:
        raise InvalidMutant(f"{binary} ended with {code}\n\n{output}")
    return names, output


def run_baseline(binaries, packages):
    """Runs the tests without a mutant. Answers how long those of each binary take."""
    took = {}
    for binary in binaries:
        build(binary, packages)
        begun = time.monotonic()
        names, output = failing_tests(binary, packages, None)
        if names:
            raise InvalidMutant(f"{binary} fails without a mutant: {', '.join(names)}\n\n{output}")
        took[binary] = time.monotonic() - begun
    return took


def apply_mutant(mutant, packages, took):
    """Applies a mutant and takes it away again. Answers the tests that caught it."""
    path = COPY / mutant["file"]
    text = path.read_text()
    try:
        # Writing it makes it newer than what was compiled of it.
        path.write_text(text.replace(mutant["find"], mutant["replace"]))
        for binary in mutant["tests"]:
            build(binary, packages)
            names, _ = failing_tests(binary, packages, max(MIN_TIMEOUT, TIMEOUT_FACTOR * took[binary]))
            if names:
                return binary, names
    finally:
        path.write_text(text)
    return None, []


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--only", action="append", metavar="SUBSTRING", default=[],
                           help="only mutants with this in their name or file")
    arguments.add_argument("--list", action="store_true", help="list the mutants")
    arguments = arguments.parse_args()
    known = mutants()
    packages = sorted({binary.partition("::")[0] for mutant in known for binary in mutant["tests"]})
    only = arguments.only or [""]
    chosen = [mutant for mutant in known
              if any(text in mutant["name"] or text in mutant["file"] for text in only)]
    if arguments.list:
        for mutant in chosen:
            print(f"{mutant['file']}: {mutant['name']}")
        return 0
    if not chosen:
        raise InvalidMutant("there is no such mutant")
    COPY.mkdir(parents=True, exist_ok=True)
    # Held until this process ends.
    lock = open(WORK_DIR / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InvalidMutant(f"another run uses {WORK_DIR}") from None
    copy()
    begun = time.monotonic()
    took = run_baseline(dict.fromkeys(binary for mutant in chosen for binary in mutant["tests"]), packages)
    print(f"without a mutant: {len(took)} test binaries pass", flush=True)
    bad = 0
    for mutant in chosen:
        try:
            binary, names = apply_mutant(mutant, packages, took)
        except InvalidMutant as wrong:
            bad += 1
            print(f"{mutant['name']}: PROVES NOTHING: {wrong}", flush=True)
            continue
        if not names:
            bad += 1
            print(f"{mutant['name']}: SURVIVED {', '.join(mutant['tests'])}", flush=True)
            continue
        more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
        print(f"{mutant['name']}: {binary}: {', '.join(names[:MAX_LISTED])}{more}", flush=True)
    minutes = (time.monotonic() - begun) / 60
    print(f"{len(chosen) - bad} of {len(chosen)} caught in {minutes:.0f} minutes")
    return 1 if bad else 0


if __name__ == "__main__":
    # A signal that ends this also ends the processes that it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        sys.exit(main())
    except InvalidMutant as wrong:
        sys.exit(str(wrong))
