"""What a broker may send that a runner does not know, or that is no message at all: sections 1 and 2."""

from __future__ import annotations

import json

import pytest

from .daemon import open_registered
from .fake_broker import Session, fresh_id, open_broker, settings_of
from .task_desk import TaskDesk

ODD_TEXTS = {
    "truncated": b'{"type": "broker:task',
    "empty": b"",
    "word": b"hello",
    "number": b"7",
    "null": b"null",
    "list": b'[{"type": "broker:drain"}]',
    "no-type": b'{"taskId": "t"}',
    "type-number": b'{"type": 7}',
    "type-null": b'{"type": null}',
    "type-list": b'{"type": ["broker:drain"]}',
    "type-empty": b'{"type": ""}',
    "unknown": b'{"type": "broker:futurething", "taskId": "t", "deep": {"a": [1]}}',
    "runner-type": b'{"type": "runner:taskdone", "taskId": "t", "data": {"result": 1}}',
    "requester-type": b'{"type": "broker:taskready", "requestId": "r", "taskId": "t"}',
    "accept-nothing": b'{"type": "broker:taskofferaccept"}',
    "accept-numbers": b'{"type": "broker:taskofferaccept", "taskId": 7, "offerId": 8}',
    "accept-null": b'{"type": "broker:taskofferaccept", "taskId": null, "offerId": null}',
    "settings-nothing": b'{"type": "broker:tasksettings"}',
    "settings-unknown": b'{"type": "broker:tasksettings", "taskId": "unknown", "settings": {"code": "1"}}',
    "settings-list-id": b'{"type": "broker:tasksettings", "taskId": ["t"], "settings": {}}',
    "cancel-nothing": b'{"type": "broker:taskcancel"}',
    "cancel-number": b'{"type": "broker:taskcancel", "taskId": 7, "reason": 8}',
    "rpcresponse-nothing": b'{"type": "broker:rpcresponse"}',
    "rpcresponse-status": b'{"type": "broker:rpcresponse", "callId": "c", "taskId": "t", "status": "maybe"}',
    "data": b'{"type": "broker:taskdataresponse", "taskId": "t", "requestId": "r", "data": {}}',
    "nodetypes": b'{"type": "broker:nodetypes", "taskId": "t", "requestId": "r", "nodeTypes": []}',
    "duplicate-keys": b'{"type": "broker:taskcancel", "type": "broker:unknown", "taskId": "x"}',
    "surrogate": b'{"type": "broker:unknown", "text": "\\ud83d"}',
    "deep": b'{"type": "broker:unknown", "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep-cut": b'{"type": "broker:unknown", "deep": ' + b"[" * 100_000,
    "big-number": b'{"type": "broker:unknown", "n": ' + b"9" * 100_000 + b"}",
    "nan": b'{"type": "broker:unknown", "n": NaN}',
    "space": b' \n\t{"type" : "broker:unknown" } \n',
    "bom": b'\xef\xbb\xbf{"type": "broker:unknown"}',
}


@pytest.mark.row("1", "unknown types and fields, truncated JSON, no type, wrong types are tolerated")
@pytest.mark.parametrize("name", ODD_TEXTS)
def test_an_odd_text_does_no_harm(plain: TaskDesk, name: str) -> None:
    async def send(session: Session) -> bool:
        task_id = await session.hold()
        session.peer.send_text(ODD_TEXTS[name])
        session.peer.send(
            {"type": "broker:tasksettings", "taskId": task_id, "settings": settings_of("return 1")}
        )
        assert (await session.end(task_id)).result == 1
        await session.fence()
        return not session.peer.over.is_set()

    assert plain.use(send)
    assert plain.daemon.code is None


@pytest.mark.row("1", "a binary frame is tolerated")
def test_a_binary_frame_does_no_harm(plain: TaskDesk) -> None:
    async def send(session: Session) -> bool:
        session.peer.send_binary(b'{"type": "broker:drain"}')
        session.peer.send_binary(b"\x00\xff")
        await session.fence()
        return not session.peer.over.is_set()

    assert plain.use(send)


@pytest.mark.row("1", "none of the odd messages puts a traceback into the log")
def test_odd_messages_are_logged_in_lines(plain: TaskDesk) -> None:
    async def send(session: Session) -> None:
        for text in ODD_TEXTS.values():
            session.peer.send_text(text)
        await session.fence()

    plain.use(send)
    assert "Traceback" not in plain.daemon.output


@pytest.mark.row("1", "unknown types are logged once, not each time")
def test_unknown_types_are_logged_once(plain: TaskDesk) -> None:
    name = fresh_id("broker:unheardof")

    async def send(session: Session) -> int:
        for _ in range(20):
            session.peer.send({"type": name})
        await session.fence()
        return plain.daemon.output.count(name)

    assert plain.use(send) <= 1


@pytest.mark.row("1", "unknown fields of known messages are tolerated")
def test_unknown_fields_are_tolerated(plain: TaskDesk) -> None:
    async def run(session: Session) -> object:
        extra = {"someday": {"a": [1]}, "version": 3}
        offer = await session.offer()
        task_id = fresh_id()
        session.peer.send(
            {"type": "broker:taskofferaccept", "taskId": task_id, "offerId": offer["offerId"], **extra}
        )
        await session.peer.next("runner:taskaccepted", taskId=task_id)
        session.peer.send(
            {"type": "broker:tasksettings", "taskId": task_id, "settings": settings_of("return 1"), **extra}
        )
        return (await session.end(task_id)).result

    assert plain.use(run) == 1


@pytest.mark.row("1", "one message in several WebSocket frames, its fields in any order, is one message")
def test_a_fragmented_message_is_whole(plain: TaskDesk) -> None:
    async def run(session: Session) -> object:
        task_id = await session.hold()
        text = json.dumps(
            {"settings": settings_of("return 'whole'"), "taskId": task_id, "type": "broker:tasksettings"}
        )
        data = text.encode()
        session.peer.send_fragments(*(data[at : at + 40] for at in range(0, len(data), 40)))
        return (await session.end(task_id)).result

    assert plain.use(run) == "whole"


@pytest.mark.row(
    "2", "broker:taskdataresponse, broker:nodetypes: nothing a Python runner asked for; they change nothing"
)
@pytest.mark.parametrize("kind", ["taskdataresponse", "nodetypes"])
def test_answers_that_nobody_asked_for(plain: TaskDesk, kind: str) -> None:
    field = {"taskdataresponse": "data", "nodetypes": "nodeTypes"}[kind]

    async def run(session: Session) -> list[str]:
        task_id = await session.hold()
        answer = {"type": f"broker:{kind}", "taskId": task_id, "requestId": "r", field: [{"x": 1}]}
        session.peer.send(answer, {**answer, "taskId": "unknown"})
        session.send_settings(task_id, "return 'calm'")
        session.peer.send(answer)
        assert (await session.end(task_id)).result == "calm"
        session.peer.send(answer)
        await session.fence()
        return [str(message["type"]) for message in session.peer.seen(taskId=task_id)]

    assert plain.use(run) == ["runner:taskaccepted", "runner:taskdone"]


@pytest.mark.row("2", "broker:tasksettings twice for one task: one run")
def test_settings_twice_run_once(free: TaskDesk) -> None:
    async def run(session: Session) -> int:
        task_id = await session.hold()
        settings = settings_of("import time\nprint('ran')\ntime.sleep(0.2)\nreturn 1")
        message = {"type": "broker:tasksettings", "taskId": task_id, "settings": settings}
        session.peer.send(message, message)
        await session.end(task_id)
        session.peer.send(message)
        await session.fence()
        return len(session.peer.seen("runner:rpc", "runner:taskdone", taskId=task_id))

    assert free.use(run) == 2


@pytest.mark.row("2", "an accept for a task id that is already held does not disturb that task")
def test_an_accept_for_a_held_task(plain: TaskDesk) -> None:
    async def run(session: Session) -> object:
        task_id = await session.hold()
        offer = await session.offer()
        session.peer.send({"type": "broker:taskofferaccept", "taskId": task_id, "offerId": offer["offerId"]})
        session.peer.send(
            {"type": "broker:tasksettings", "taskId": task_id, "settings": settings_of("return 'held'")}
        )
        run = await session.end(task_id)
        await session.fence()
        return [run.result, len(session.peer.seen("runner:taskdone", taskId=task_id))]

    assert plain.use(run) == ["held", 1]


@pytest.mark.row(
    "1", "text that is no UTF-8, which WebSocket forbids: the runner is back on a new connection"
)
async def test_text_that_is_no_utf8() -> None:
    async with open_broker() as broker, open_registered(broker) as (daemon, session):
        session.peer.send_text(b'{"type": "broker:\xff"}')
        await session.peer.wait_over()
        second = await broker.registered()
        await second.fence()
        assert "Traceback" not in daemon.output


@pytest.mark.row("1", "registered twice, drained twice: the runner stays calm")
async def test_messages_of_the_handshake_again() -> None:
    async with open_broker() as broker, open_registered(broker, MAX_CONCURRENCY="2") as (_, session):
        session.peer.send({"type": "broker:runnerregistered"}, {"type": "broker:inforequest"})
        await session.peer.next("runner:info")
        await session.fence()
        await session.peer.nothing("runner:info", within=0.3)
        # The two of the start and one for the slot that the fence freed.
        assert len(session.peer.seen("runner:taskoffer")) == 3
