"""Runner and broker as services of a real systemd: ready, watched, reloaded, ended, and their journal."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from trio_runner.service.systemd.installation import home_access, program_places
from trio_runner.service.systemd.unit import UnitFacts, service_unit, socket_unit

from .real_systemd import Systemd, eventually, open_systemd, why_impossible

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(420),
    pytest.mark.skipif(bool(why_impossible()), reason=why_impossible() or "possible"),
]

RUNNER, BROKER = "trio-runner", "trio-runner-broker"
TOKEN_FILE = "/run/secrets/auth-token"
MAIN = "/opt/main.py"
# The command line of the package, and a signal that blocks the event loop as a fault would.
MAIN_TEXT = """\
import signal, sys, time
sys.path.insert(0, "/opt/package")
from trio_runner.service.cli import main
def a_fault_that_blocks(*_):
    time.sleep(1000)
signal.signal(signal.SIGUSR1, a_fault_that_blocks)
main(sys.argv[1:])
"""
PYTHON = ("/opt/environment/bin/python", "-I", MAIN)
FACTS = UnitFacts(
    command=(*PYTHON, "run"),
    role="run",
    name=RUNNER,
    token_file=TOKEN_FILE,
    home=home_access(program_places()),
)
BROKER_FACTS = attrs.evolve(
    FACTS, command=(*PYTHON, "broker"), role="broker", name=BROKER, listen="127.0.0.1:5679"
)
# Every wall that a machine with this kernel has beside the unit; the control group depends on its hierarchy.
WALLS = {"user-namespace", "mount-namespace", "pid-namespace", "ipc-namespace", "network-namespace"} | {
    "private-memory",
    "capabilities",
    "seccomp",
    "limits",
}
# Times that a test need not wait for; everything else is as an operator gets it.
DROP_IN = """\
[Service]
WatchdogSec=4
TimeoutStopSec=1
Environment=TRIO_RUNNER_GRACEFUL_SHUTDOWN_TIMEOUT=4 TRIO_RUNNER_STDLIB_ALLOW=time
"""


@asynccontextmanager
async def services(directory: Path) -> AsyncIterator[Systemd]:
    """Run a systemd that knows the services and has started none."""
    async with open_systemd(directory) as systemd:
        files = {
            MAIN: MAIN_TEXT,
            TOKEN_FILE: "token-of-the-services\n",
            f"/run/systemd/system/{RUNNER}.service": service_unit(FACTS),
            f"/run/systemd/system/{RUNNER}.service.d/test.conf": DROP_IN,
            f"/run/systemd/system/{BROKER}.service": service_unit(BROKER_FACTS),
            f"/run/systemd/system/{BROKER}.socket": socket_unit(BROKER_FACTS),
        }
        for path, text in files.items():
            await systemd.write(path, text)
        await systemd.systemctl("daemon-reload")
        try:
            yield systemd
        except BaseException:
            with trio.CancelScope(shield=True):
                print(await systemd.journal("-n", "80"))
            raise


async def wait_until(systemd: Systemd, unit: str, **wanted: str) -> None:
    """Wait until properties of a unit have these texts in them."""

    async def is_so() -> bool:
        return all([text in await systemd.show(unit, name) for name, text in wanted.items()])

    await eventually(is_so)


async def submit(systemd: Systemd, code: str) -> str:
    environment = f"N8N_RUNNERS_AUTH_TOKEN_FILE={TOKEN_FILE}"
    return await systemd.run("env", environment, *PYTHON, "submit", "-c", code, check=False)


async def entries(systemd: Systemd, count: int, *matches: str) -> list[dict[str, str]]:
    """Wait for so many entries of the runner: the journal takes its time to take them in."""
    found: list[dict[str, str]] = []

    async def are_there() -> bool:
        lines = await systemd.journal("-o", "json", f"_SYSTEMD_UNIT={RUNNER}.service", *matches)
        found[:] = [json.loads(line) for line in lines.splitlines()]
        return len(found) >= count

    await eventually(are_there)
    return found


async def test_the_life_of_the_services(tmp_path: Path) -> None:
    async with services(tmp_path) as systemd:
        await ready_only_once_registered(systemd)
        await a_task_runs_behind_the_directives_of_the_unit(systemd)
        await a_reload(systemd)
        await a_blocked_loop_is_killed_and_started_again(systemd)
        await a_stop_that_lets_a_task_finish(systemd)
        await a_stop_that_ends_a_task(systemd)


async def ready_only_once_registered(systemd: Systemd) -> None:
    await systemd.systemctl("start", "--no-block", RUNNER)
    await wait_until(systemd, RUNNER, StatusText="not connected", ActiveState="activating")
    # The first who connects has the broker started, and waits for it.
    await systemd.systemctl("start", f"{BROKER}.socket")
    await wait_until(systemd, RUNNER, ActiveState="active", StatusText="http://127.0.0.1:5679 registered")
    await wait_until(systemd, BROKER, ActiveState="active", StatusText="1 runner, 0 tasks")
    await systemd.wait_for_line("handed over by systemd", "-u", BROKER)


async def a_task_runs_behind_the_directives_of_the_unit(systemd: Systemd) -> None:
    assert await submit(systemd, "print('hello')\nreturn 6 * 7") == "hello\n42"
    (done,) = await entries(systemd, 1, "TRIO_RUNNER_RESULT_BYTES=2")
    assert (done["PRIORITY"], done["SYSLOG_IDENTIFIER"]) == ("6", "trio-runner")
    assert done["TRIO_RUNNER_BROKER"] == "http://127.0.0.1:5679"
    printed, _ = await entries(systemd, 2, f"TRIO_RUNNER_TASK={done['TRIO_RUNNER_TASK']}")
    assert printed["MESSAGE"].startswith("[user code] hello task=")
    assert printed["TRIO_RUNNER_ORIGIN"] == "user code"
    assert "token-of-the-services" not in await systemd.journal()
    document = json.loads(await systemd.run(*PYTHON, "status", "--json", "runner"))
    assert set(document["runner"]["executor"]["zygote"]["walls"]) >= WALLS, "the unit takes none away"


async def a_reload(systemd: Systemd) -> None:
    await systemd.systemctl("reload", RUNNER)
    await systemd.wait_for_line("New tasks use what is on disk now", "-u", RUNNER)
    await wait_until(systemd, RUNNER, ActiveState="active")


async def a_blocked_loop_is_killed_and_started_again(systemd: Systemd) -> None:
    before = await systemd.show(RUNNER, "MainPID")
    await systemd.run("kill", "-USR1", before)
    await wait_until(systemd, RUNNER, NRestarts="1", ActiveState="active")
    assert await systemd.show(RUNNER, "MainPID") != before
    for said in (
        f"{RUNNER}.service: Watchdog timeout (limit 4s)!",
        "Fatal Python error: Aborted",
        "in a_fault_that_blocks",  # the log names what blocked
    ):
        await systemd.wait_for_line(said, "-u", RUNNER)
    assert await submit(systemd, "return 1") == "1"


async def a_stop_that_lets_a_task_finish(systemd: Systemd) -> None:
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await submit(systemd, "import time\nprint('going')\ntime.sleep(2)\nreturn 'whole'"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await systemd.wait_for_line("[user code] going", "-u", RUNNER)
        await systemd.systemctl("stop", RUNNER)  # longer than TimeoutStopSec, and within the grace
    assert answers == ['going\n"whole"']
    assert await systemd.show(RUNNER, "Result") == "success"


async def a_stop_that_ends_a_task(systemd: Systemd) -> None:
    await systemd.systemctl("start", RUNNER)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(submit, systemd, "import time\nprint('for ever')\ntime.sleep(1000)")
        await systemd.wait_for_line("[user code] for ever", "-u", RUNNER)
        await systemd.systemctl("stop", RUNNER)
    assert await systemd.show(RUNNER, "Result") == "success"
    await systemd.systemctl("stop", f"{BROKER}.socket", BROKER)
    assert await systemd.show(BROKER, "Result") == "success"
