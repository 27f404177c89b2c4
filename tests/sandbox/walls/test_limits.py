"""Limits, alone, and what is said of them."""

from __future__ import annotations

import os

import pytest

from trio_runner.sandbox.config import Limits
from trio_runner.sandbox.walls.limits import describe

from .children import run

MIB = 1024**2


def test_each_limit_strikes_and_is_named() -> None:
    found = run("""
import tempfile, threading, time
os.setresuid(65534, 65534, 65534) if os.getuid() == 0 else None
limits.bound_resources(Limits(memory=512 * 1024**2, processes=0, open_files=40, file_size=65536))
result = {}
def attempt(name, call):
    try:
        call()
    except BaseException as error:
        result[name] = limits.describe_limit(error)
attempt('memory', lambda: bytearray(1024**3))
attempt('open files', lambda: [open('/dev/null') for _ in range(50)])
def write():
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(20):
            file.write(bytes(8192))
attempt('file size', write)
attempt('something else', lambda: open('/nowhere'))
""")
    assert found == {
        "memory": "The limit for memory is 512 MiB (TRIO_RUNNER_TASK_MEMORY).",
        "open files": "The limit for open files of a process is 40 (TRIO_RUNNER_TASK_OPEN_FILES).",
        "file size": "The limit for the size of a file is 64 KiB (TRIO_RUNNER_TASK_FILE_SIZE).",
        "something else": "",
    }


@pytest.mark.skipif(os.getuid() != 0, reason="needs a user with no other processes")
def test_the_limit_of_processes() -> None:
    found = run("""
import threading, time
nobody = 60000 + os.getpid() % 4000  # of another run that is under way there may be processes
os.setresuid(nobody, nobody, nobody)
limits.bound_resources(Limits(processes=5))
try:
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
except RuntimeError as error:
    result = [threading.active_count(), limits.describe_limit(error)]
print(json.dumps(result)); sys.stdout.flush(); os._exit(0)
""")
    assert found == [5, "The limit for processes and threads is 5 (TRIO_RUNNER_TASK_PROCESSES)."]


def test_no_limit_is_not_described() -> None:
    assert describe("cpu", Limits()) == ""
    assert (
        describe("cpu", Limits(cpu=3))
        == "The limit for seconds of processor time is 3 (TRIO_RUNNER_TASK_CPU)."
    )
    assert "1000 bytes" in describe("scratch", Limits(scratch=1000))
