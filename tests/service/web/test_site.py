"""What the health port answers: health that tells the truth, metrics, and the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from trio_runner.runner.statistics import Readiness, RunnerStatistics
from trio_runner.service.status.document import Document, LoopStatistics
from trio_runner.service.web.site import Site
from trio_runner.transport.http_server import HttpRequest, HttpResponse

from ..status.samples import broker, runner, task

WELL = LoopStatistics(lag=0.001, worst=0.2, checked=0.5)


def site(
    of: RunnerStatistics | None = None,
    *,
    loop: LoopStatistics = WELL,
    stalled: str | None = None,
    document: Callable[[], Document] | None = None,
    **more: Any,
) -> Site:
    return Site(
        document=document or (lambda: Document(runner=of or runner(), loop=loop)),
        stalled=lambda: stalled,
        metrics=lambda: b"metrics",
        **more,
    )


def ask(of: Site, path: str, method: str = "GET", host: str = "127.0.0.1:5681") -> HttpResponse:
    return of.answer(HttpRequest(method, path, headers={"host": host}))


def told(answer: HttpResponse) -> Any:
    return json.loads(answer.body)


@pytest.mark.parametrize("path", ["/", "/healthz"])
def test_what_the_launcher_asks_for_is_the_same_whatever_happens(path: str) -> None:
    bad = site(runner(readiness=Readiness(False, "no-broker", "none")), stalled="it hangs")
    assert (ask(bad, path).status, ask(bad, path).body) == (200, b"OK")


def test_alive() -> None:
    answer = ask(site(), "/livez")
    assert answer.status == 200
    assert told(answer) == {
        "ok": True,
        "state": "alive",
        "reason": "the event loop turns",
        "lag_seconds": 0.001,
        "worst_lag_seconds_of_last_minute": 0.2,
    }


@pytest.mark.parametrize(
    ("lag", "stalled", "state", "reason"),
    [
        (12.3, None, "lagging", "the event loop is 12.3 s late"),
        (0.1, "an accept waits for its answer", "stalled", "an accept waits for its answer"),
    ],
)
def test_not_alive(lag: float, stalled: str | None, state: str, reason: str) -> None:
    answer = ask(site(loop=LoopStatistics(lag=lag, worst=lag, checked=0), stalled=stalled), "/livez")
    assert answer.status == 503
    assert (told(answer)["ok"], told(answer)["state"], told(answer)["reason"]) == (False, state, reason)


@pytest.mark.parametrize(
    ("readiness", "status"),
    [
        (Readiness(True, "offering", "2 of 2 slots on offer"), 200),
        (Readiness(True, "full", "all 2 slots are taken"), 200),
        (Readiness(False, "draining", "it ends"), 503),
        (Readiness(False, "no-workers", "no worker can be started: no memory"), 503),
    ],
)
def test_ready_or_not_and_why(readiness: Readiness, status: int) -> None:
    answer = ask(site(runner(readiness=readiness)), "/readyz")
    assert answer.status == status
    assert told(answer) == {"ok": status == 200, "state": readiness.state, "reason": readiness.reason}


@pytest.mark.parametrize(("draining", "status"), [(False, 200), (True, 503)])
def test_a_broker_is_ready_while_it_takes_requests(draining: bool, status: int) -> None:
    answer = ask(site(document=lambda: Document(broker=broker(draining=draining))), "/readyz")
    assert answer.status == status


def test_metrics_are_there_unless_they_are_not_wanted() -> None:
    assert ask(site(), "/metrics").body == b"metrics"
    without = Site(document=lambda: Document(runner=runner()), stalled=lambda: None)
    assert ask(without, "/metrics").status == 404


@pytest.mark.parametrize("path", ["/ui", "/ui/", "/ui/style.css", "/ui/script.js", "/ui/status.json"])
def test_the_page_and_what_it_loads(path: str) -> None:
    answer = ask(site(), path)
    headers = dict(answer.headers)
    assert answer.status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(site(page=False), path).status == 404


def test_the_page_holds_no_code_and_loads_nothing_from_elsewhere() -> None:
    page = ask(site(), "/ui").body.decode()
    assert not re.search(r"\son\w+=|<style|style=|https?://|<script>", page)
    script = ask(site(), "/ui/script.js").body.decode()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?://", script)


def test_the_json_is_the_snapshot() -> None:
    evil = runner(tasks=(task(workflow_name="<script>alert(1)</script>"),))
    answer = ask(site(evil), "/ui/status.json")
    assert answer.content_type.startswith("application/json")
    assert told(answer)["runner"]["tasks"][0]["workflow_name"] == "<script>alert(1)</script>"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:5681", 200),
        ("localhost", 200),
        ("[::1]:5681", 200),
        ("evil.example:5681", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
    ],
)
def test_another_site_cannot_read_it_through_a_browser(host: str, status: int) -> None:
    assert ask(site(), "/ui/status.json", host=host).status == status
    assert ask(site(), "/metrics", host=host).status == status
    assert ask(site(), "/readyz", host=host).status == 200
    assert ask(site(local=False), "/ui/status.json", host=host).status == 200


def test_anything_else() -> None:
    assert ask(site(), "/runners/_ws").status == 404
    assert ask(site(), "/healthz", "POST").status == 405
    assert b"/readyz" in ask(site(), "/nothing").body
