"""``trio-runner submit`` against a scripted broker: what is sent, what is shown, how it ends."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
from click.testing import CliRunner
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_runner.errors import AuthRejected, ConfigError, LinkLost
from trio_runner.protocol import messages as m
from trio_runner.requester.client import Requester
from trio_runner.service.submit.command import submit_command
from trio_runner.service.submit.plan import SubmitPlan
from trio_runner.service.submit.screen import Screen
from trio_runner.service.submit.submission import Connect, Submission, SubmitCode
from trio_runner.service.terminal import PersonConsole

from ...requester.fake_broker import FakeBroker, fake_broker

Script = Callable[[FakeBroker], Awaitable[None]]


class Call:
    """One call of the command, its broker played by a script."""

    def __init__(self, plan: SubmitPlan) -> None:
        self.stderr = io.StringIO()
        self.submission = Submission(plan, Screen(PersonConsole(file=self.stderr, highlight=False), plan))
        self.code: SubmitCode | None = None

    @property
    def results(self) -> list[object]:
        return [result.decode() for result in self.submission.results]

    @property
    def shown(self) -> list[str]:
        return self.stderr.getvalue().splitlines()

    async def perform(self, script: Script) -> None:
        """Run the whole of it; the script must come to its end too."""
        async with trio.open_nursery() as nursery:

            @asynccontextmanager
            async def connect() -> AsyncIterator[Requester]:
                async with fake_broker() as (requester, broker):
                    nursery.start_soon(script, broker)
                    yield requester

            self.code = await self.submission.perform(connect)


def no_connection(error: Exception | None) -> Connect:
    """Connecting that raises, or never ends."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[Requester]:
        await trio.lowlevel.checkpoint()
        if error is not None:
            raise error
        await trio.Event().wait()
        yield cast("Requester", None)

    return connect


async def test_prints_are_shown_and_the_result_is_kept() -> None:
    async def script(broker: FakeBroker) -> None:
        task = await broker.start()
        broker.prints(task.task_id, "'rows:'", "3")
        broker.done(task.task_id, {"answer": 42})

    call = Call(SubmitPlan(code="return 42"))
    await call.perform(script)
    assert (call.code, call.results, call.shown) == (SubmitCode.DONE, [{"answer": 42}], ["rows: 3"])


async def test_split_work_is_done_in_parallel_and_joined_in_order() -> None:
    async def script(broker: FakeBroker) -> None:
        requests = [await broker.expect(m.TaskRequest) for _ in range(2)]
        await wait_all_tasks_blocked()
        for request in reversed(requests):
            broker.ready(request)
        started = [await broker.expect(m.RequesterTaskSettings) for _ in requests]
        for settings in started:
            broker.prints(settings.task_id, "'working'")
            await broker.expect(m.RequesterRpcResponse)
        for settings in started:
            broker.done(settings.task_id, settings.settings.decode()["items"])
        last = await broker.start()
        broker.done(last.task_id, last.settings.decode()["items"])

    call = Call(SubmitPlan(code="return _items", items=[1, 2, 3, 4, 5], split=2, parallel=2))
    await call.perform(script)
    assert call.code is SubmitCode.DONE
    assert call.results == [[{"json": 1}, {"json": 2}], [{"json": 3}, {"json": 4}], [{"json": 5}]]
    assert sorted(call.shown) == ["[1/3] working", "[2/3] working"]


async def test_a_failure_shows_message_description_and_the_persons_own_line() -> None:
    async def script(broker: FakeBroker) -> None:
        task = await broker.start()
        broker.failed(task.task_id, "division by zero", description="first\nsecond", lineNumber=2)

    call = Call(SubmitPlan(code="rows = _items\nreturn len(rows) / 0\n", code_name="rows.py"))
    await call.perform(script)
    assert call.code is SubmitCode.TASK_FAILED
    assert call.shown == [
        "Error: division by zero",
        "  first",
        "  second",
        "",
        "  rows.py, line 2",
        "    1 | rows = _items",
        "  > 2 | return len(rows) / 0",
    ]


async def test_the_first_failure_of_a_split_says_which_and_cancels_the_rest() -> None:
    async def script(broker: FakeBroker) -> None:
        requests = [await broker.expect(m.TaskRequest) for _ in range(2)]
        for request in requests:
            broker.ready(request)
        second = [await broker.expect(m.RequesterTaskSettings) for _ in requests][1]
        broker.failed(second.task_id, "bad row")
        cancelled = await broker.expect(m.RequesterTaskCancel)
        assert cancelled.task_id != second.task_id

    call = Call(SubmitPlan(code="return 1", items=[1, 2, 3, 4, 5], split=2, parallel=2))
    await call.perform(script)
    assert call.code is SubmitCode.TASK_FAILED
    assert len(call.shown) == 1
    assert call.shown[0] in (
        "Error in task 1 of 3 (items 1 to 2): bad row",
        "Error in task 2 of 3 (items 3 to 4): bad row",
    )


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("user-code", SubmitCode.TASK_FAILED),
        ("policy", SubmitCode.TASK_FAILED),
        ("worker-died", SubmitCode.TASK_FAILED),
        ("runner-lost", SubmitCode.TASK_FAILED),
        ("cancelled", SubmitCode.TASK_FAILED),
        ("timeout", SubmitCode.TIMED_OUT),
    ],
)
async def test_the_exit_code_tells_the_family_of_the_failure(kind: str, code: SubmitCode) -> None:
    async def script(broker: FakeBroker) -> None:
        task = await broker.start()
        broker.failed(task.task_id, "so it is", kind=kind)

    call = Call(SubmitPlan(code="return 1"))
    await call.perform(script)
    assert (call.code, call.shown) == (code, ["Error: so it is"])


async def test_an_expired_request_has_a_code_of_its_own_and_a_remedy() -> None:
    async def script(broker: FakeBroker) -> None:
        request = await broker.expect(m.TaskRequest)
        broker.link.send(m.RequestExpiry(request.request_id, "no-runner"))

    call = Call(SubmitPlan(task_type="price"))
    await call.perform(script)
    assert call.code is SubmitCode.REQUEST_EXPIRED
    assert call.shown[0] == "Error: No runner takes 'price' tasks"
    assert "Start one" in call.shown[1]


async def test_the_time_limit_cancels_the_task_at_the_broker(autojump_clock: MockClock) -> None:
    async def script(broker: FakeBroker) -> None:
        task = await broker.start()
        assert (await broker.expect(m.RequesterTaskCancel)).task_id == task.task_id

    call = Call(SubmitPlan(code="while True: pass", timeout=2.5))
    await call.perform(script)
    assert trio.current_time() == pytest.approx(2.5)
    assert (call.code, call.shown) == (
        SubmitCode.TIMED_OUT,
        ["Error: not done within 2.5 s, so it was cancelled"],
    )


async def test_the_time_limit_covers_connecting(autojump_clock: MockClock) -> None:
    call = Call(SubmitPlan(code="return 1", timeout=1))
    assert await call.submission.perform(no_connection(None)) is SubmitCode.TIMED_OUT
    assert call.shown == ["Error: not done within 1 s, so it was cancelled"]


@pytest.mark.parametrize("code", [SubmitCode.INTERRUPTED, SubmitCode.TERMINATED])
async def test_an_interruption_cancels_the_task_at_the_broker(code: SubmitCode) -> None:
    call = Call(SubmitPlan(code="while True: pass"))

    async def script(broker: FakeBroker) -> None:
        task = await broker.start()
        call.submission.interrupt(code)
        call.submission.interrupt(code)
        assert (await broker.expect(m.RequesterTaskCancel)).task_id == task.task_id

    await call.perform(script)
    assert (call.code, call.shown) == (code, ["Interrupted; what was under way has been cancelled."])


async def test_an_interruption_before_it_began_connects_nowhere() -> None:
    call = Call(SubmitPlan(code="return 1"))
    call.submission.interrupt(SubmitCode.INTERRUPTED)
    assert await call.submission.perform(no_connection(AssertionError("connected"))) is SubmitCode.INTERRUPTED


async def test_a_lost_connection_is_told_once() -> None:
    async def script(broker: FakeBroker) -> None:
        for _ in range(2):
            await broker.expect(m.TaskRequest)
        broker.link.drop("connection to the broker lost")

    call = Call(SubmitPlan(code="return 1", items=[1, 2, 3], split=1, parallel=2))
    await call.perform(script)
    assert (call.code, call.shown) == (SubmitCode.NO_BROKER, ["Error: connection to the broker lost"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LinkLost("nobody listens at 127.0.0.1:1"), SubmitCode.NO_BROKER),
        (AuthRejected("wrong token", status=403), SubmitCode.NO_BROKER),
        (ConfigError("no such URL"), SubmitCode.USAGE),
    ],
)
async def test_no_connection_is_one_line(error: Exception, code: SubmitCode) -> None:
    call = Call(SubmitPlan(code="return 1"))
    assert await call.submission.perform(no_connection(error)) is code
    assert call.shown == [f"Error: {error}"]


async def test_lost_lines_are_counted_and_controls_are_shown() -> None:
    async def script(broker: FakeBroker) -> None:
        task = await broker.start()
        broker.prints(task.task_id, "'\x1b[2Jgone\rb\x07'")
        broker.done(task.task_id, None)

    call = Call(SubmitPlan(code="return 1"))
    await call.perform(script)
    assert call.shown == ["\\x1b[2Jgone\\x0db\\x07"]


def test_help_shows_variables_but_never_what_is_in_them() -> None:
    environ = {"N8N_RUNNERS_AUTH_TOKEN": "hush-hush", "TRIO_RUNNER_GRANT_TOKEN": "one-time"}
    shown = CliRunner().invoke(submit_command, ["--help"], env=environ, terminal_width=80)
    assert shown.exit_code == 0
    assert "N8N_RUNNERS_AUTH_TOKEN" in shown.output
    assert not any(secret in shown.output for secret in environ.values())
    explained = shown.output.partition("Exit codes:")[2]
    assert all(str(code.value) in explained for code in SubmitCode)
    assert max(map(len, shown.output.splitlines())) <= 84
