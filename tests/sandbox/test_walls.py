"""The walls, raised in a process of their own: they cannot be lowered again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import trio_runner

_REPORT = """\
import json, resource, sys
sys.path.append(sys.argv[1])
from trio_runner.sandbox import walls
print(json.dumps([
    walls.raise_shared_walls(), walls.raise_walls(), open('/proc/self/status').read(),
    resource.getrlimit(resource.RLIMIT_CORE), open('/proc/self/oom_score_adj').read().strip(),
]))
"""


def test_what_stands_is_what_is_told() -> None:
    root = str(Path(trio_runner.__file__).parents[1])
    output = subprocess.run(
        [sys.executable, "-I", "-c", _REPORT, root], check=True, capture_output=True, timeout=30
    ).stdout
    shared, own, status, core, oom = json.loads(output)
    assert shared == ["no-new-privileges", "no-core-dumps"]
    assert own == ["first-out-of-memory"]
    assert "NoNewPrivs:\t1\n" in status
    assert core == [0, 0]
    assert oom == "1000"
