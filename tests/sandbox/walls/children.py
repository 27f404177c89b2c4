"""Code in a process of its own, because walls cannot be lowered again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import trio_runner

_START = """\
import ctypes, json, os, sys
sys.path.append(sys.argv[1])
"""
_AS_NOBODY = """\
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
"""
ROOT = str(Path(trio_runner.__file__).parents[1])
NEEDED = """\
import resource, signal, socket, subprocess, tempfile, threading, time
from trio_runner.sandbox import walls
from trio_runner.sandbox.walls import basics, cells, credentials, kernel, landlock, limits, namespaces, root
from trio_runner.sandbox.walls import addresses, own, raising, seccomp, secrets, trial, visible
from trio_runner.sandbox.config import Limits, SandboxConfig
from trio_runner.sandbox.policy import Policy
def refused(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return 0
"""


def run(code: str, *arguments: str, nobody: bool = False) -> Any:
    """Run code that ends with ``result = …`` in a child; return the result.

    Args:
        code: has the modules of the walls, and ``refused``, which returns the number of an error.
        arguments: become ``sys.argv[2:]``.
        nobody: as a user who owns nothing, after the imports: Python may lie in somebody's home.
    """
    script = _START + NEEDED + (_AS_NOBODY if nobody else "") + code + "\nprint(json.dumps(result))\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, ROOT, *arguments], capture_output=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
