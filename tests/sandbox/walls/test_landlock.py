"""Landlock, alone."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from trio_runner.sandbox.walls.kernel import KernelRefused
from trio_runner.sandbox.walls.landlock import interface_version

from .children import run


def version() -> int:
    """Return the version of the interface here; 0: there is none."""
    try:
        return interface_version()
    except KernelRefused:
        return 0


pytestmark = pytest.mark.skipif(version() == 0, reason="no Landlock here")

CODE = """
import signal, socket
readable, scratch, hidden = sys.argv[2:5]
rules = landlock.Landlock([readable], ['/dev/null'], network=False)
basics.forbid_new_privileges()
rules.submit(scratch)
try:
    open(scratch + '/new', 'w').close(); os.rename(scratch + '/new', scratch + '/newer'); wrote = True
except OSError:
    wrote = False
result = {
    'read': open(readable + '/file').read(),
    'write what is readable': refused(open, readable + '/file', 'w'),
    'list what is hidden': refused(os.listdir, hidden),
    'read what is hidden': refused(open, hidden + '/file'),
    'write what is hidden': refused(open, hidden + '/new', 'w'),
    'scratch': wrote,
    'null': refused(lambda: open('/dev/null', 'w').close()),
    'connect': refused(socket.socket().connect, ('127.0.0.1', 9)),
    'signal': refused(os.kill, os.getppid(), 0),
}"""


@pytest.mark.parametrize("nobody", [False, True])
def test_what_is_out_of_reach(tmp_path: Path, nobody: bool) -> None:
    if nobody and os.getuid() != 0:
        pytest.skip("needs root")
    for name in ("readable", "scratch", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    if nobody:
        os.chown(tmp_path / "scratch", 65534, 65534)
        for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            directory.chmod(0o755)
    found = run(CODE, *(str(tmp_path / name) for name in ("readable", "scratch", "hidden")), nobody=nobody)
    assert (found.pop("read"), found.pop("scratch"), found.pop("null")) == ("readable", True, 0)
    connect, kill = found.pop("connect"), found.pop("signal")
    assert connect == (errno.EACCES if version() >= 4 else errno.ECONNREFUSED)
    assert kill == (errno.EPERM if version() >= 6 or nobody else 0)
    assert set(found.values()) == {errno.EACCES}, found
