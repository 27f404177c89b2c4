"""The system calls, against what the system says itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trio_runner
from trio_runner.sandbox import linux


@pytest.mark.parametrize("listing", ["", "linux._LISTING = '/proc/no-such-file'\n"])
def test_children(listing: str) -> None:
    code = """\
import subprocess
before = linux.children()
with subprocess.Popen(["sleep", "1000"]) as child:
    during = linux.children()
    child.kill()
print(before == linux.children() == set(), during == {child.pid})
"""
    assert _python(listing + code) == "True True\n"


def test_a_pidfd_of_a_child() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        pidfd = linux.open_pidfd(child.pid)
        assert pidfd is not None
        os.close(pidfd)
        child.kill()
    assert linux.open_pidfd(child.pid) is None


def _python(code: str) -> str:
    root = str(Path(trio_runner.__file__).parents[1])
    script = "import os, sys\nsys.path.append(sys.argv[1])\nfrom trio_runner.sandbox import linux\n" + code
    return subprocess.run(
        [sys.executable, "-I", "-c", script, root], check=False, capture_output=True, timeout=50, text=True
    ).stdout


def test_closing_descriptors() -> None:
    code = """\
low, high = os.open('/', os.O_RDONLY), 700
os.dup2(low, high)
linux.close_descriptors_above(low)
print(sorted(map(int, os.listdir('/proc/self/fd'))) == [0, 1, 2, low, low + 1])
"""
    assert _python(code) == "True\n"


def test_an_orphan_becomes_a_child_of_the_subreaper() -> None:
    code = """\
assert linux.become_subreaper()
if os.fork() == 0:
    if os.fork() == 0:
        os.read(0, 1)
    os._exit(0)
os.wait()
print(len(linux.children()))
"""
    assert _python(code) == "1\n"


def test_a_parent_that_is_gone_already() -> None:
    assert _python("linux.die_with_parent(os.getppid())\nprint('alive')") == "alive\n"
    assert _python("linux.die_with_parent(1 if os.getppid() != 1 else 2)\nprint('alive')") == ""
