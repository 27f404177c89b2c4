"""Reaping: who has died, and the processes of its group."""

from __future__ import annotations

import os
import select
import subprocess

import pytest

from trio_runner.sandbox.reaping import reap_dead


@pytest.mark.parametrize("look_first", [True, False])
def test_the_dead_are_reaped_and_their_groups_killed(
    look_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not look_first:
        monkeypatch.delattr(os, "waitid")
    with (
        subprocess.Popen(
            ["sh", "-c", "sleep 1000 & exit 3"], start_new_session=True, stdout=subprocess.PIPE
        ) as leader,
        subprocess.Popen(["sleep", "1000"]) as alive,
    ):
        assert leader.stdout is not None
        wait_without_reaping(leader.pid)
        assert list(reap_dead({leader.pid, alive.pid})) == [(leader.pid, 3)]
        assert leader.stdout.read() == b""  # nobody of its group holds the other end
        alive.kill()
        leader.returncode = 3
    assert list(reap_dead({})) == []


def wait_without_reaping(pid: int) -> None:
    """Wait for a child to end, and leave it a zombie."""
    pidfd = os.pidfd_open(pid)
    select.select([pidfd], [], [], 30)
    os.close(pidfd)
