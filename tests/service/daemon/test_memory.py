"""What loading leaves in memory."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from trio_runner.service.daemon import memory
from trio_runner.service.daemon.memory import settle_memory

# Frees twenty megabytes below something that stays, so that the C library cannot give them back by itself.
_HOLES = """\
import resource
from trio_runner.service.daemon.memory import settle_memory
def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize()
pieces = [bytes(1000) for _ in range(20_000)]
stays = pieces.pop()
del pieces
before = resident()
settle_memory()
print(before - resident())
"""


@pytest.mark.skipif(memory._trim is None or sys.platform != "linux", reason="the GNU C library's")
def test_what_was_freed_is_given_back() -> None:
    root = Path(memory.__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", _HOLES], cwd=root, capture_output=True, check=True)
    assert int(done.stdout) > 10 * 1024**2


def test_what_is_there_is_not_looked_through_again() -> None:
    try:
        settle_memory()
        frozen = gc.get_freeze_count()
    finally:
        gc.unfreeze()
    assert frozen > 0


def test_a_system_without_such_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_trim", None)
    try:
        settle_memory()
    finally:
        gc.unfreeze()
