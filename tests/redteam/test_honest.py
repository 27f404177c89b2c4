"""Honest code under the walls: what people write in such tasks must work, as it does without them."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from trio_runner.executor.config import ProcessExecutorConfig
from trio_runner.executor.contract import Job
from trio_runner.executor.pool import open_process_executor
from trio_runner.protocol.raw_json import RawJson
from trio_runner.sandbox.config import SandboxConfig
from trio_runner.sandbox.policy import DEFAULT_BUILTINS_DENY, Policy
from trio_runner.scheduling.outcome import Completed

from .honest_code import CLASSES, MODULES, NUMPY, PANDAS, REQUESTS, TRUSTED

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

USUAL = frozenset(
    "base64 collections contextlib copy csv dataclasses datetime decimal enum fractions functools hashlib"
    " heapq html io itertools json math operator os pathlib random re statistics string tempfile textwrap"
    " threading time typing unicodedata urllib uuid zlib zoneinfo".split()
)
LISTED = Policy(stdlib_allow=USUAL)
"""What a careful host allows: some of Python's modules, and the usual builtins are denied."""

GENEROUS = Policy(
    stdlib_allow=USUAL,
    builtins_deny=DEFAULT_BUILTINS_DENY - set("__build_class__ getattr hasattr object open type".split()),
)
"""The same with classes and files."""

SCIENCE = Policy(external_allow=frozenset({"numpy", "pandas"}))
"""Two packages, and nothing of Python: what they need themselves they may import."""


async def results(policy: Policy, tasks: dict[str, str], **config: Any) -> dict[str, Any]:
    """Run tasks on one executor, and return their decoded results by name."""
    found: dict[str, Any] = {}
    settings = ProcessExecutorConfig(policy=policy, workers=2, **config)
    with trio.fail_after(90):
        async with open_process_executor(settings) as executor:
            for name, code in tasks.items():
                items = [{"json": {"name": "Ada", "price": "12.50", "when": "2026-01-31T10:00:00"}}]
                fields = {"code": code, "nodeMode": "runOnceForAllItems", "items": items}
                outcome = await executor.run(Job(name, "python", RawJson.of(fields)), lambda event: None)
                found["walls"] = executor._supply.current.walls  # type: ignore[attr-defined]
                found[name] = outcome.result.decode() if isinstance(outcome, Completed) else outcome
    return found


async def test_usual_code() -> None:
    found = await results(LISTED, {name: code for name, (code, _) in MODULES.items()})
    assert {name: found[name] for name in MODULES} == {name: wanted for name, (_, wanted) in MODULES.items()}


async def test_classes_and_files() -> None:
    found = await results(GENEROUS, {name: code for name, (code, _) in CLASSES.items()})
    assert {name: found[name] for name in CLASSES} == {name: wanted for name, (_, wanted) in CLASSES.items()}


@pytest.mark.parametrize("preload", [(), ("numpy", "pandas")], ids=["loaded by the task", "loaded ahead"])
async def test_numpy_and_pandas(preload: tuple[str, ...]) -> None:
    tasks = {"numpy": NUMPY, "pandas": PANDAS, "the lists hold": "import sys"}
    found = await results(SCIENCE, tasks, preload=preload)
    assert found["numpy"] == [[[0, 3], [1, 4], [2, 5]], pytest.approx(8), [1.5, 2.5, 3.5], "int64", "15", [2]]
    assert found["pandas"] == [{"Ada": 37.5}, [36, 36, 36], ["2026"], 12.5, [{"name": "Ada"}], "name"]
    assert found["the lists hold"].message == "Security violations detected"


class _Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps({"path": self.path, "sent": json.loads(body)}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    """A server on this machine; its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as opened:
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{opened.server_address[1]}"
        opened.shutdown()
        thread.join()


@pytest.mark.parametrize("network", ["auto", "allow", "deny"])
async def test_requests(server: str, network: str) -> None:
    # The server stands for one of the world: this machine's own ports are shut by the wall `addresses`.
    sandbox = SandboxConfig(network=network, disabled=frozenset({"addresses"}))
    policy = Policy(external_allow=frozenset({"requests"}))
    found = await results(policy, {"requests": REQUESTS.format(url=server)}, sandbox=sandbox)
    reached = [201, {"path": "/a", "sent": {"n": 1}}, True]
    if network == "deny" and not {"network-namespace", "landlock"}.intersection(found["walls"]):
        pytest.skip("this machine has no wall that denies the network")
    assert found["requests"] == ("no connection" if network == "deny" else reached)


async def test_programs_in_the_trusted_profile() -> None:
    # The lists and the deny list do not count there: the walls do.
    found = await results(Policy(), {"trusted": TRUSTED}, sandbox=SandboxConfig(profile="trusted"))
    assert found["trusted"] == ["42\n", "2\n", "Anything", 2]


async def test_the_locked_profile_has_no_imports() -> None:
    tasks = {"import": "import json", "computing": "return sum(n * n for n in range(4))"}
    found = await results(LISTED, tasks, sandbox=SandboxConfig(profile="locked"))
    assert found["computing"] == 14
    assert found["import"].message == "Security violations detected"
