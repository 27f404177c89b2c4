"""What a runner does before a broker that cannot be talked to: section 1 of the protocol's document."""

from __future__ import annotations

import signal

import pytest

from .ahead import SCENARIO_LIMIT, Ahead
from .daemon import START_LIMIT, open_runner
from .fake_broker import open_broker
from .scenario_obstacles import OBSTACLES, Trial

pytestmark = pytest.mark.timeout(2 * SCENARIO_LIMIT + 30)


@pytest.fixture
def trials(ahead: Ahead) -> dict[str, Trial]:
    """Return how each of them went."""
    seen: dict[str, Trial] = ahead.result("trials")
    return seen


@pytest.mark.row(
    "1", "an obstacle with an auth token (403, close at once, not a WebSocket, …): bounded rate, never a spin"
)
@pytest.mark.parametrize("name", OBSTACLES)
def test_an_obstacle_is_met_with_backoff(trials: dict[str, Trial], name: str) -> None:
    trial = trials[name]
    # n8n's broker allows 5 requests a second; backing off from 0.25 s on makes five or six attempts in 3 s.
    assert 1 <= trial.attempts <= 10, trial
    if trial.code is None and name != "silent":
        assert trial.again


@pytest.mark.row("1", "an obstacle that goes away: the runner connects; upgrade 403 is no reason to give up")
@pytest.mark.parametrize("name", [name for name in OBSTACLES if name not in ("silent", "auth-403")])
def test_an_obstacle_that_goes_away(trials: dict[str, Trial], name: str) -> None:
    assert trials[name].code is None
    assert trials[name].back


@pytest.mark.row(
    "1",
    "wrong auth token (403 from /runners/auth): told clearly; exits non-zero or tries again slowly",
)
def test_a_wrong_auth_token(trials: dict[str, Trial]) -> None:
    trial = trials["auth-403"]
    assert trial.back or (trial.code is not None and trial.code > 0)
    assert any("token" in line.lower() for line in trial.told)


@pytest.mark.row("1", "an obstacle is told in a line that names the broker, without a traceback")
@pytest.mark.parametrize("name", [name for name in OBSTACLES if name != "silent"])
def test_an_obstacle_is_told(trials: dict[str, Trial], name: str) -> None:
    assert trials[name].told
    assert not any("Traceback" in line for line in trials[name].told)


@pytest.mark.row("5", "SIGTERM while the broker cannot be reached: exit 0 at once")
@pytest.mark.parametrize("name", ["hangs-up", "silent", "upgrade-403"])
async def test_sigterm_before_a_connection(name: str) -> None:
    async with open_broker() as broker:
        OBSTACLES[name](broker)
        async with open_runner(broker, GRACEFUL_SHUTDOWN_TIMEOUT="600") as daemon:
            await broker.wait_hits(1, ".*", START_LIMIT)
            daemon.signal(signal.SIGTERM)
            assert await daemon.exit_code() == 0
