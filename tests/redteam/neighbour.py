"""The neighbour: a task of somebody else that runs while the attacks do, and must not notice them.

It waits for signals that only the runner's side can send it, looks over what is its own (variables, a file in
its directory, its environment) and says what it found. At the end it returns a result.
"""

from __future__ import annotations

import signal
from typing import Any

import attrs
import trio

from trio_runner.executor.contract import ExecutorEvent, Job, Printed
from trio_runner.protocol.raw_json import RawJson
from trio_runner.scheduling.outcome import Completed, Outcome

from .attack import ending

# Seconds for an answer; far more than it takes, on a machine where somebody burns all cores.
_ANSWER_LIMIT = 20.0
# Questions for one neighbour: a task's prints are limited.
_QUESTIONS = 80

_CODE = """\
import hashlib, os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
data = [number * number for number in range(1000)]
with open("mine", "w") as file:
    file.write("untouched")
def look():
    with open("mine") as file:
        text = file.read()
    return hashlib.sha256(repr([data, text, os.listdir(), dict(os.environ)]).encode()).hexdigest()
first = look()
print("ready")
while signal.sigwait({signal.SIGUSR1, signal.SIGUSR2}) == signal.SIGUSR1:
    print("sound" if look() == first else "spoilt")
return {"sum": sum(data), "sound": look() == first}
"""
_RESULT = {"sum": sum(number * number for number in range(1000)), "sound": True}


@attrs.define
class _Neighbour:
    worker: Any
    outcome: list[Outcome]
    answers: trio.MemoryReceiveChannel[str]
    ended: trio.Event
    asked: int = 0


class Neighbourhood:
    """Keeps a neighbour on an executor.

    Args:
        executor: a process executor; its workers are looked at to find the neighbour's process.
        nursery: the tasks run in it.
    """

    def __init__(self, executor: Any, nursery: trio.Nursery) -> None:
        self._executor = executor
        self._nursery = nursery
        self._current: _Neighbour | None = None

    async def move_in(self) -> None:
        """See to it that there is a neighbour."""
        if self._current is not None and self._current.asked < _QUESTIONS and not self._current.outcome:
            return
        await self.move_out()
        before = set(self._busy())
        send, receive = trio.open_memory_channel[str](100)
        outcome: list[Outcome] = []
        ended = trio.Event()

        def on_event(event: ExecutorEvent) -> None:
            if isinstance(event, Printed):
                send.send_nowait(event.text)

        async def run() -> None:
            settings = {"code": _CODE, "nodeMode": "runOnceForAllItems", "items": []}
            job = Job("neighbour", "python", RawJson.of(settings))
            outcome.append(await self._executor.run(job, on_event))
            ended.set()
            send.close()

        self._nursery.start_soon(run)
        with trio.fail_after(_ANSWER_LIMIT):
            said = await receive.receive()
        assert said == "ready"
        (worker,) = set(self._busy()) - before
        self._current = _Neighbour(worker, outcome, receive, ended)

    async def ask(self) -> str:
        """Return what is wrong with the neighbour; empty if nothing is."""
        assert self._current is not None
        self._current.asked += 1
        _signal(self._current.worker, signal.SIGUSR1)
        with trio.move_on_after(_ANSWER_LIMIT):
            try:
                answer = await self._current.answers.receive()
            except trio.EndOfChannel:
                return f"the neighbour ended: {ending(self._current.outcome[0])}"
            return "" if answer == "sound" else f"the neighbour is {answer}"
        return "the neighbour does not answer"

    async def move_out(self) -> str:
        """Have the neighbour finish, and return what is wrong with its result; empty if nothing is."""
        current, self._current = self._current, None
        if current is None or current.outcome:
            return ""
        _signal(current.worker, signal.SIGUSR2)
        with trio.move_on_after(_ANSWER_LIMIT):
            await current.ended.wait()
        if not current.outcome:
            return "the neighbour never finished"
        (outcome,) = current.outcome
        fine = isinstance(outcome, Completed) and outcome.result.decode() == _RESULT
        return "" if fine else f"the neighbour: {ending(outcome)}"

    def _busy(self) -> list[Any]:
        zygote, warm, leaving = self._executor._supply.current, self._executor._warm, self._executor._leaving
        workers = zygote._workers.values() if zygote is not None else ()
        return [worker for worker in workers if worker not in warm and worker not in leaving]


def _signal(worker: Any, number: int) -> None:
    try:
        if worker._pidfd is not None:
            signal.pidfd_send_signal(worker._pidfd, number)
    except OSError:
        return  # it has ended, which shows in its outcome
