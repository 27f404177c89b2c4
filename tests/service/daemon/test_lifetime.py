"""The life of a daemon: two signals, and an exit code for every way to end."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from trio_runner.errors import AuthRejected, ConfigError, LinkLost
from trio_runner.service.daemon.lifetime import live, run_to_exit_code
from trio_runner.service.exits import ExitCode
from trio_runner.service.systemd.notify import Notifier

from ..logs.captured import capture_logs


def not_reported(exc: BaseException) -> None:
    raise AssertionError(exc)


def daemon_that_raises(exc: BaseException) -> Callable[[], Awaitable[None]]:
    async def daemon() -> None:
        async with trio.open_nursery():
            raise exc

    return daemon


@pytest.mark.parametrize(
    ("exc", "code"),
    [
        (AuthRejected("refused", status=403), ExitCode.NO_BROKER),
        (LinkLost("gone"), ExitCode.NO_BROKER),
        (ConfigError("port in use"), ExitCode.FAULT),
        (ExceptionGroup("", [LinkLost("gone"), ExceptionGroup("", [LinkLost("too")])]), ExitCode.NO_BROKER),
        (ExceptionGroup("", [LinkLost("gone"), ConfigError("port in use")]), ExitCode.FAULT),
    ],
)
def test_what_can_be_expected_is_a_line_and_no_traceback(exc: Exception, code: ExitCode) -> None:
    with capture_logs() as lines:
        assert run_to_exit_code(daemon_that_raises(exc), on_fault=not_reported) is code
    assert {line["log_level"] for line in lines} == {"error"}
    assert not any("trace" in line for line in lines)
    assert lines[0]["event"] in ("refused", "gone", "port in use")


@pytest.mark.parametrize("exc", [KeyError("x"), ExceptionGroup("", [LinkLost("gone"), TypeError("bug")])])
def test_our_own_faults_come_with_a_traceback(exc: Exception) -> None:
    reported: list[BaseException] = []
    with capture_logs() as lines:
        assert run_to_exit_code(daemon_that_raises(exc), on_fault=reported.append) is ExitCode.FAULT
    assert len(lines) == 1
    assert lines[0]["trace"]
    assert len(reported) == 1


def test_interrupted_outside_the_time_of_grace() -> None:
    with capture_logs() as lines:
        assert run_to_exit_code(daemon_that_raises(KeyboardInterrupt())) is ExitCode.INTERRUPTED
    assert [line["event"] for line in lines] == ["Interrupted"]


def test_a_quiet_end() -> None:
    with capture_logs() as lines:
        assert run_to_exit_code(trio.lowlevel.checkpoint) is ExitCode.DONE
    assert [line["event"] for line in lines] == ["Stopped"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_winds_down(number: signal.Signals) -> None:
    wound_down = trio.Event()

    async def main() -> None:
        signal.raise_signal(number)
        await wound_down.wait()

    before = signal.getsignal(number)
    with capture_logs() as lines:
        await live(main, wound_down.set)
    assert [line["event"] for line in lines] == [
        f"{number.name} received; a second one ends everything at once"
    ]
    assert signal.getsignal(number) is before


async def test_the_second_signal_cancels_and_the_next_acts_by_default() -> None:
    handlers: list[object] = []

    async def main() -> None:
        signal.raise_signal(signal.SIGTERM)
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
                handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    with capture_logs() as lines:
        await live(main, lambda: signal.raise_signal(signal.SIGINT))
    assert [line["log_level"] for line in lines] == ["info", "warning"]
    assert handlers == [before], "while it tidies up, a third signal is not swallowed"


async def test_quit_ends_at_once() -> None:
    async def main() -> None:
        signal.raise_signal(signal.SIGQUIT)
        await trio.sleep_forever()

    def never() -> None:
        raise AssertionError("there is no grace")

    with capture_logs() as lines:
        await live(main, never)
    assert [line["event"] for line in lines] == ["SIGQUIT received; ending at once"]
    assert "killed" in lines[0]["remedy"]


async def test_the_service_manager_is_told_how_long_the_end_may_take() -> None:
    told: list[float] = []

    class Recorder(Notifier):
        def stopping(self, seconds: float) -> None:
            told.append(seconds)

    wound_down = trio.Event()

    async def main() -> None:
        signal.raise_signal(signal.SIGTERM)
        await wound_down.wait()

    with capture_logs():
        await live(main, wound_down.set, notifier=Recorder(), grace=lambda: 100.0)
    assert len(told) == 1
    assert 110 < told[0] < 130, "the grace, and time to part"


async def test_an_error_of_the_main_task_ends_the_watching() -> None:
    async def main() -> None:
        await trio.lowlevel.checkpoint()
        raise LinkLost("gone")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.RaisesGroup(LinkLost):
        await live(main, lambda: None)
    assert signal.getsignal(signal.SIGTERM) is before
