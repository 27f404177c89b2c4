"""The walls can be looked at, and nothing is left of the process that tells them."""

from __future__ import annotations

import os

import pytest

from trio_runner.errors import ConfigError
from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.executor.inspection import inspect_walls

from .tasks import children_of

pytestmark = pytest.mark.process


async def test_walls_are_told_and_nothing_is_left() -> None:
    before = set(children_of(os.getpid()))
    walls = await inspect_walls(ProcessExecutorConfig())
    assert set(walls.names).isdisjoint(name for name, _ in walls.missing)
    assert set(children_of(os.getpid())) == before


async def test_an_interpreter_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="/nonexistent"):
        await inspect_walls(ProcessExecutorConfig(python="/nonexistent/python"))
