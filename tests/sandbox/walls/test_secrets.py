"""Secrets out of reach, alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .children import NEEDED, ROOT

_CODE = (
    f"import os, sys\nsys.path.append(sys.argv[1])\n{NEEDED}"
    """
print(secrets.wipe_secrets([sys.argv[2], 'from-the-environment', 'abc']), flush=True)
secrets.hide_memory()
print(flush=True)
sys.stdin.read()
"""
)


@pytest.mark.skipif(sys.platform != "linux", reason="procfs")
def test_they_are_gone_from_what_the_process_was_started_with() -> None:
    environment = {"TOKEN": "from-the-environment", "OTHER": "stays"}
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _CODE, ROOT, "from-the-arguments"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"3\n"  # the code that is given names one, too
        process.stdout.readline()
        shown = Path(f"/proc/{process.pid}")
        assert b"from-the" not in (shown / "cmdline").read_bytes()
        if os.getuid() == 0:
            assert (shown / "environ").read_bytes() == b"TOKEN=" + b"x" * 20 + b"\0OTHER=stays\0"
        assert (shown / "environ").stat().st_uid == 0  # whoever this user is
    finally:
        process.communicate()
