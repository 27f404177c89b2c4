"""The way in: an interruption while the command line is being loaded."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from trio_runner import __version__

INTERRUPTED_WHILE_LOADING = """
import importlib.abc, os, signal, sys

class CtrlC(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.{handler})
sys.meta_path.insert(0, CtrlC())
sys.argv[1:] = ["--version"]
from trio_runner.__main__ import main
main()
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("handler", "code", "out"),
    [("default_int_handler", -signal.SIGINT, ""), ("SIG_IGN", 0, f"trio-runner {__version__}\n")],
)
def test_an_interruption_while_loading_shows_no_traceback(handler: str, code: int, out: str) -> None:
    program = INTERRUPTED_WHILE_LOADING.format(handler=handler)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, out, "")
