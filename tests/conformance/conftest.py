"""Runners that several modules use, and the marker that ties a test to a row of the protocol's document."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from .ahead import Ahead, Scenario
from .daemon import BrokerProcess, open_broker_process
from .fake_broker import fresh_id
from .hosting import hosted
from .scenario_ages import grow_old
from .scenario_idle import sit_idle
from .scenario_obstacles import meet_obstacles
from .task_desk import TaskDesk, open_desk


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of this suite."""
    config.addinivalue_line(
        "markers", "row(section, text): the row of the protocol's document that a test holds"
    )


# The scenarios begun ahead, each with the fixture that looks at it, in the order of the tests that look.
SCENARIOS: dict[str, Scenario] = {"trials": meet_obstacles, "ages": grow_old, "idle": sit_idle}


@pytest.fixture(scope="session", autouse=True)
def ahead(request: pytest.FixtureRequest) -> Iterator[Ahead]:
    """Begin the scenarios that the tests of this run will look at."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    under_way = Ahead({name: scenario for name, scenario in SCENARIOS.items() if name in wanted})
    yield under_way
    under_way.join()


@pytest.fixture(scope="session")
def plain() -> Iterator[TaskDesk]:
    """A runner as it comes: nothing may be imported, the default builtins are denied."""
    with open_desk() as desk:
        yield desk


@pytest.fixture(scope="session")
def free() -> Iterator[TaskDesk]:
    """A runner whose language-level policy is switched off, so that a task can do its worst."""
    with open_desk(STDLIB_ALLOW="*", EXTERNAL_ALLOW="*", BUILTINS_DENY="") as desk:
        yield desk


@pytest.fixture(scope="session")
def hasty() -> Iterator[TaskDesk]:
    """A runner that gives every task one second, free otherwise."""
    with open_desk(STDLIB_ALLOW="*", EXTERNAL_ALLOW="*", BUILTINS_DENY="", TASK_TIMEOUT="1") as desk:
        yield desk


@pytest.fixture(scope="session")
def patient() -> Iterator[TaskDesk]:
    """A runner that gives every task three seconds: time to do something before, on a busy machine too."""
    with open_desk(STDLIB_ALLOW="*", EXTERNAL_ALLOW="*", BUILTINS_DENY="", TASK_TIMEOUT="3") as desk:
        yield desk


@pytest.fixture(scope="session")
def broker() -> Iterator[BrokerProcess]:
    """A broker of the product as it comes."""
    with hosted(open_broker_process) as host:
        yield host.value


@pytest.fixture(scope="session")
def brisk() -> Iterator[BrokerProcess]:
    """A broker of the product whose time limits are short, and long enough for peers that may be held up."""
    limits = {
        "accept_timeout": "1",
        "settings_timeout": "1",
        "request_timeout": "2.5",
        "execution_timeout": "1.6",
        "max_waiting": "3",
    }
    with hosted(partial(open_broker_process, **limits)) as host:
        yield host.value


@pytest.fixture
def task_type() -> str:
    """A task type that no other test of the run uses, so that tests can share a broker."""
    return fresh_id("type")
