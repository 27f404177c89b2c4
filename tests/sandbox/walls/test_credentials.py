"""Becoming nobody, alone."""

from __future__ import annotations

import errno
import os

import pytest

from trio_runner.sandbox.walls.credentials import user_for

from .children import run


@pytest.mark.skipif(os.getuid() != 0, reason="root alone can become somebody else")
def test_root_becomes_nobody_for_good() -> None:
    found = run("""
credentials.drop_bounding_set(); credentials.become_user(65007); credentials.drop_capabilities()
status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
result = [os.getresuid(), os.getresgid(), os.getgroups(), refused(os.setuid, 0), refused(open, '/etc/shadow'),
          [int(status[name], 16) for name in ('CapEff', 'CapPrm', 'CapInh', 'CapBnd', 'CapAmb')]]
""")
    assert found == [[65007] * 3, [65007] * 3, [], errno.EPERM, errno.EACCES, [0] * 5]


def test_neighbours_are_different_users() -> None:
    assert len({user_for(worker) for worker in range(1, 401)}) == 400
