"""`broker:taskcancel` in whatever state a task is: section 2, and `Task was cancelled` of section 4."""

from __future__ import annotations

import pytest
import trio

from .daemon import open_registered
from .fake_broker import ENDS, Session, fresh_id, open_broker, settings_of
from .processes import MARK, WAIT, go_on, marked
from .task_desk import TaskDesk
from .wire import Message

CANCELLED = "Task was cancelled"
SLEEP = "import time\nprint('up')\ntime.sleep(60)\n"
FREE = {"STDLIB_ALLOW": "*", "EXTERNAL_ALLOW": "*", "BUILTINS_DENY": ""}


def ends(session: Session, task_id: str) -> list[Message]:
    """Return every last message of a task so far; there should be one."""
    return session.peer.seen(*ENDS, taskId=task_id)


@pytest.mark.row(
    "2", "broker:taskcancel of a running task → taskerror `Task was cancelled`; no process of it is left"
)
@pytest.mark.parametrize(
    "stubborn",
    [
        "",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))",
        "os.setsid() if os.getsid(0) != os.getpid() else None",
        "os.fork()",
        "if os.fork() == 0:\n    os.setsid()\n    os.fork() and os._exit(0)",
        "threading.Thread(target=time.sleep, args=(60,)).start()",
    ],
    ids=["plain", "ignores-sigterm", "blocks-all", "own-session", "child", "daemonised-child", "thread"],
)
def test_cancel_of_a_running_task(free: TaskDesk, stubborn: str) -> None:
    marker = fresh_id("cancel-marker")
    code = MARK.format(marker=marker) + f"import os, signal, threading, time\n{stubborn}\n{SLEEP}"

    async def cancel(session: Session) -> tuple[bool, str, list[int]]:
        task_id = await session.start(code)
        await session.printed(task_id, "'up'")
        alive = bool(marked(marker))
        session.cancel(task_id)
        run = await session.end(task_id)
        return alive, run.error["message"], marked(marker)

    assert free.use(cancel) == (True, CANCELLED, [])


@pytest.mark.row("2", "broker:taskcancel of a task that burns CPU in C code")
def test_cancel_of_a_busy_task(free: TaskDesk) -> None:
    async def cancel(session: Session) -> str:
        task_id = await session.start("print('up')\nreturn 7 ** 10_000_000 % 10")
        await session.printed(task_id, "'up'")
        session.cancel(task_id)
        return str((await session.end(task_id)).error["message"])

    assert free.use(cancel) == CANCELLED


@pytest.mark.row("2", "broker:taskcancel with continueOnFail: a cancel, not a result")
def test_cancel_with_continue_on_fail(free: TaskDesk) -> None:
    async def cancel(session: Session) -> str:
        task_id = await session.start(SLEEP, continueOnFail=True)
        await session.printed(task_id, "'up'")
        session.cancel(task_id)
        return str((await session.end(task_id)).error["message"])

    assert free.use(cancel) == CANCELLED


@pytest.mark.row(
    "2", "broker:taskcancel straight after the settings: never lost, never answered with taskdone"
)
def test_cancel_straight_after_the_settings(free: TaskDesk) -> None:
    async def cancel(session: Session) -> list[str]:
        messages = []
        for _ in range(10):
            task_id = await session.hold()
            session.peer.send(
                {"type": "broker:tasksettings", "taskId": task_id, "settings": settings_of(SLEEP)},
                {"type": "broker:taskcancel", "taskId": task_id, "reason": "at once"},
            )
            messages.append((await session.end(task_id)).error["message"])
        return messages

    assert free.use(cancel) == [CANCELLED] * 10


@pytest.mark.row("2", "broker:taskcancel before the settings: the slot is freed, the task never runs")
async def test_cancel_before_the_settings() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="1", **FREE) as (_, session):
        task_id = await session.hold()
        session.cancel(task_id)
        # Without the cancel, the slot would be free after the 15 s that a runner waits for settings.
        await session.peer.next("runner:taskoffer", limit=10)
        session.peer.send(
            {
                "type": "broker:tasksettings",
                "taskId": task_id,
                "settings": settings_of("print('ran')\nreturn 1"),
            }
        )
        await session.peer.nothing("runner:taskdone", "runner:rpc", taskId=task_id, within=0.5)
        assert [end["error"]["message"] for end in ends(session, task_id)] in ([], [CANCELLED])


@pytest.mark.row("2", "broker:taskcancel together with the accept, before the runner has answered it")
async def test_cancel_together_with_the_accept() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="1", **FREE) as (_, session):
        offer = await session.offer()
        session.peer.send(
            {"type": "broker:taskofferaccept", "taskId": "brief", "offerId": offer["offerId"]},
            {"type": "broker:taskcancel", "taskId": "brief", "reason": "at once"},
            {
                "type": "broker:tasksettings",
                "taskId": "brief",
                "settings": settings_of("print('ran')\nreturn 1"),
            },
        )
        again = await session.peer.next("runner:taskoffer", limit=10)
        await session.fence(str(again["offerId"]))
        assert not session.peer.seen("runner:taskdone", "runner:rpc", taskId="brief")


@pytest.mark.row("2", "broker:taskcancel twice: one taskerror")
def test_cancel_twice(free: TaskDesk) -> None:
    async def cancel(session: Session) -> int:
        task_id = await session.start(SLEEP)
        await session.printed(task_id, "'up'")
        session.cancel(task_id)
        session.cancel(task_id)
        await session.end(task_id)
        session.cancel(task_id)
        await session.fence()
        return len(ends(session, task_id))

    assert free.use(cancel) == 1


@pytest.mark.row("2", "broker:taskcancel of a finished or unknown task: nothing happens")
def test_cancel_after_the_end(plain: TaskDesk) -> None:
    async def cancel(session: Session) -> list[object]:
        task_id = await session.start("return 1")
        await session.end(task_id)
        session.cancel(task_id)
        session.cancel("unknown-task")
        await session.fence()
        return [len(session.peer.seen(taskId=task_id)), session.peer.seen(taskId="unknown-task")]

    assert plain.use(cancel) == [2, []]


@pytest.mark.row("2", "broker:taskcancel at any moment of a short task: exactly one end")
def test_cancel_at_any_moment(free: TaskDesk) -> None:
    async def cancel(session: Session) -> list[int]:
        tasks = []
        for step in range(25):
            task_id = await session.start("print('x')\nreturn 1")
            await trio.sleep(step * 0.001)  # not for anything: to hit another moment each time
            session.cancel(task_id)
            tasks.append(task_id)
            await session.end(task_id)
        await session.fence()
        return [len(ends(session, task_id)) for task_id in tasks]

    assert free.use(cancel) == [1] * 25


@pytest.mark.row("2", "broker:taskcancel of one task leaves the others alone, and frees its slot at once")
async def test_cancel_leaves_the_others_alone() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="2", **FREE) as (_, session):
        marker = fresh_id("unharmed-marker")
        one = await session.start(f"{MARK.format(marker=marker)}{WAIT}return 'unharmed'")
        other = await session.start(SLEEP)
        for task_id in (one, other):
            await session.printed(task_id, "'up'")
        session.cancel(other)
        await session.end(other)
        await session.fence()  # takes the slot
        assert ends(session, one) == []
        go_on(marker)
        assert (await session.end(one)).result == "unharmed"


@pytest.mark.row("2", "broker:taskcancel, output printed before it arrives before the error")
def test_output_before_a_cancel_arrives(free: TaskDesk) -> None:
    async def cancel(session: Session) -> tuple[list[list[str]], bool]:
        task_id = await session.start(SLEEP)
        await session.printed(task_id, "'up'")
        session.cancel(task_id)
        run = await session.end(task_id)
        await session.fence()
        return run.prints, session.peer.seen(taskId=task_id)[-1] == run.end

    assert free.use(cancel) == ([["'up'"]], True)


@pytest.mark.row("2", "broker:taskcancel without a reason, or with fields of no use")
@pytest.mark.parametrize("fields", [{}, {"reason": None}, {"reason": "x", "extra": [1]}, {"reason": 7}])
def test_cancel_without_a_reason(free: TaskDesk, fields: Message) -> None:
    async def cancel(session: Session) -> str:
        task_id = await session.start(SLEEP)
        await session.printed(task_id, "'up'")
        session.peer.send({"type": "broker:taskcancel", "taskId": task_id, **fields})
        if "reason" in fields and not isinstance(fields["reason"], str):
            session.cancel(task_id)  # a message of a wrong type may be ignored: it must not do harm
        return str((await session.end(task_id)).error["message"])

    assert free.use(cancel) == CANCELLED
