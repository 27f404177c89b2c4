"""Trials in a throw-away child."""

from __future__ import annotations

import os
import signal

from trio_runner.sandbox.walls.trial import attempt


def test_what_is_found() -> None:
    assert attempt(lambda end: None) == ""
    assert attempt(lambda end: os.write(end, b"something")) == "something"
    assert attempt(lambda end: os.kill(os.getpid(), signal.SIGKILL)) == "the trial was ended by SIGKILL"
    assert attempt(lambda end: os._exit(3)) == "the trial failed"


def test_what_is_raised() -> None:
    def fail(end: int) -> None:
        raise OSError(1, "refused")

    def cannot_fork() -> int:
        raise OSError(11, "no room")

    assert "refused" in attempt(fail)
    assert "no room" in attempt(fail, fork=cannot_fork)
