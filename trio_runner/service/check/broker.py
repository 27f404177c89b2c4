"""Everything between a runner and one broker, step by step, by the very code that a runner uses.

The runner that connects here has an id of its own, offers one slot for half a second and takes no task: a
task that comes all the same is rejected in the words of a runner that shuts down, and the broker gives it to
another.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import attrs
import trio

from ...errors import AuthRejected, LinkError
from ...protocol.ids import new_id
from ...runner.config import RunnerConfig
from ...runner.dialer import Dialer
from ...runner.tokens import TokenSource
from ...transport.connect import connect, resolve
from ...transport.endpoints import Endpoint, broker_endpoint, parse_endpoint
from ...transport.http_client import get
from .findings import Report
from .registration import try_registration

__all__ = ["BROKER_STEPS", "check_broker"]

BROKER_STEPS = (
    "name resolves",
    "port open",
    "round trip",
    "HTTP answers",
    "clock",
    "auth token",
    "grant token",
    "WebSocket",
    "registration",
    "offer",
)
"""What is tried, in this order; each needs those before it."""

# Seconds to a broker and back above which a runner stops honouring offers later than the broker hears of it.
_FAR = 0.1
# Seconds between two clocks that are worth a word: certificates and logs go wrong by then, tasks do not.
_SKEW = 5.0
_ONLY_GRANT = "only a grant token is given: it is good for one connection, which this check would use up"


async def check_broker(broker: str, config: RunnerConfig, dialer: Dialer, report: Report) -> None:
    """Try everything a runner needs of a broker.

    Args:
        broker: its base URI.
        config: the runner's settings; `LinkSettings.connect_timeout` limits each step.
        dialer: reaches the broker.
        report: takes the findings, one for each of `BROKER_STEPS`.
    """
    config = attrs.evolve(config, brokers=(broker,), runner_id=f"check-{new_id()}")
    try:
        await _reach(parse_endpoint(broker), config, report)
        await _ask_for_health(broker, config, report)
        if not config.auth_token:
            report.skip_rest(_ONLY_GRANT)
            return
        bearer = await TokenSource(config, broker, dialer).fresh()
    except AuthRejected as exc:
        report.fail(
            f"refused at {config.runners_path}/auth: {exc.status}",
            "give the runner the secret that the broker has: N8N_RUNNERS_AUTH_TOKEN of both must be the same",
        )
        return
    except LinkError as exc:
        report.fail(*_told(exc))
        return
    report.ok("accepted")
    await _connect(broker, config, dialer, bearer, report)


async def _reach(endpoint: Endpoint, config: RunnerConfig, report: Report) -> None:
    """Find the broker's machine and its port."""
    limit = config.link.connect_timeout
    addresses = await resolve(endpoint, config.link, trio.current_time() + limit)
    report.ok(", ".join(addresses))
    began = time.perf_counter()
    stream = await connect(endpoint, config.link, trio.current_time() + limit)
    trip = time.perf_counter() - began
    with trio.CancelScope(shield=True):
        await trio.aclose_forcefully(stream)
    report.ok(f"{endpoint.authority}{', with TLS' if endpoint.secure else ''}")
    if trip > _FAR and not endpoint.secure:
        report.warn(
            f"{trip * 1000:.0f} ms", "offers may expire on their way: put the runner nearer to its broker"
        )
    else:
        report.ok(f"{trip * 1000:.1f} ms", timed=False)


async def _ask_for_health(broker: str, config: RunnerConfig, report: Report) -> None:
    url = "http" + broker_endpoint(broker, "/healthz").removeprefix("ws")
    answer = await get(url, settings=config.link)
    if answer.status == 200:
        report.ok("healthy")
    else:
        report.warn(
            f"{answer.status} to /healthz",
            "a task broker answers 200 there: is this its URI, or does a proxy leave that path out?",
        )
    _compare_clocks(answer.date, report)


def _compare_clocks(date: str, report: Report) -> None:
    try:
        skew = time.time() - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        report.skip("the broker does not tell its time")
        return
    # The header has whole seconds, cut off: on average it is half a second behind.
    if abs(skew - 0.5) > _SKEW:
        way = "ahead of" if skew > 0 else "behind"
        report.warn(f"{abs(skew):.0f} s {way} the broker's", "set both clocks by NTP; tasks run all the same")
    else:
        report.ok("within a few seconds of the broker's", timed=False)


async def _connect(broker: str, config: RunnerConfig, dialer: Dialer, bearer: str, report: Report) -> None:
    url = broker_endpoint(broker, f"{config.runners_path}/_ws", query={"id": config.runner_id})
    try:
        async with dialer.open_link(url, bearer=bearer, settings=config.link) as link:
            report.ok("accepted")
            report.ok(f"open at {config.runners_path}/_ws", timed=False)
            await try_registration(broker, config, dialer, link, report)
    except AuthRejected as exc:
        report.fail(
            f"minted, but refused at {config.runners_path}/_ws: {exc.status}",
            "is there more than one broker behind that URI? A grant token is good at the one that made it",
        )
    except LinkError as exc:
        if report.steps[:1] == ["grant token"]:
            report.ok("minted", timed=False)
        report.fail(*_told(exc))


def _told(error: LinkError) -> tuple[str, str]:
    """Split what an error says into what happened and what to do."""
    text = str(error)
    for separator in (": ", "; "):
        what, found, remedy = text.rpartition(separator)
        if found:
            return what, remedy
    return text, "see the broker's log"
