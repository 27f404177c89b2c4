"""The page in a real browser, if there is one: it shows what the daemon tells, and only as text."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import trio

from trio_runner.service.daemon.health import serve_health
from trio_runner.service.status.document import Document
from trio_runner.service.web.site import Site

from ..status.samples import broker, runner, task

pytestmark = pytest.mark.process

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LIMIT = 50  # seconds


async def page_of(document: Document, profile: Path) -> str:
    """Return the page as the browser has it once its script has run."""
    site = Site(document=lambda: document, stalled=lambda: None, metrics=lambda: b"")
    async with trio.open_nursery() as nursery:
        _, port = await nursery.start(serve_health, "127.0.0.1", 0, site.answer)
        command = [
            str(BROWSER),
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={profile}", "--virtual-time-budget=3000", "--dump-dom"),
            f"http://127.0.0.1:{port}/ui",
        ]
        with trio.fail_after(LIMIT):
            result = await trio.run_process(command, capture_stdout=True, stderr=subprocess.DEVNULL)
        nursery.cancel_scope.cancel()
    return result.stdout.decode()


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium; install Debian's package of that name")
async def test_a_runner(tmp_path: Path) -> None:
    evil = task(workflow_name="<img src=x onerror=alert(1)>", node_name="<b>bold</b>")
    dom = await page_of(Document(runner=runner(slots=64, tasks=(evil,))), tmp_path)
    assert dom.count('<i class="taken">') == 1
    assert len(re.findall(r"<i(?: class=\"\w*\")?></i>", dom)) == 64
    assert "&lt;img src=x onerror=alert(1)&gt; › &lt;b&gt;bold&lt;/b&gt;" in dom
    assert "<img" not in dom and "<b>" not in dom
    assert 'class="badge good"' in dom and ">offering<" in dom
    assert "http://a:5679" in dom and "connection refused" in dom


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium; install Debian's package of that name")
async def test_a_broker(tmp_path: Path) -> None:
    dom = await page_of(Document(broker=broker(draining=True), url="http://127.0.0.1:5679"), tmp_path)
    assert 'class="badge bad"' in dom and ">draining<" in dom
    assert "Python Task Runner runner-one" in dom
    assert "given up: timeout" in dom
