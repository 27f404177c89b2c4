"""One submitted task, as its caller holds it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import trio

from ..errors import LinkLost
from ..protocol.raw_json import RawJson
from .book import Phase, Submission
from .output import Output

__all__ = ["Phase", "RunningTask"]


class RunningTask:
    """A task under way, from `Requester.start` or `Requester.start_task`.

    Args:
        task_type, settings: what was asked for; not for callers.
    """

    def __init__(self, task_type: str, settings: RawJson) -> None:
        self._ended = trio.Event()
        self.submission = Submission(task_type, settings, self._ended.set)

    @property
    def output(self) -> Output:
        """What the task prints, as a stream; see `Output` for its bounds. Reading it is optional."""
        return self.submission.output

    @property
    def phase(self) -> Phase:
        """Where the task is."""
        return self.submission.phase

    @property
    def task_id(self) -> str | None:
        """The broker's id of the task, as it stands in the runner's logs; None until a runner took it."""
        return self.submission.task_id

    async def result(self) -> Any:
        """Wait for the end and return the result, decoded. May be called any number of times.

        Raises:
            TaskError, LinkLost: as in `Requester.run`.

        Cancellation:
            Safe: the task goes on; leaving its block is what cancels it.
        """
        return (await self.raw_result()).decode()

    async def raw_result(self) -> RawJson:
        """Wait for the end and return the result as JSON, not decoded.

        Raises:
            TaskError, LinkLost: as in `Requester.run`.

        Cancellation:
            As in `result`.
        """
        await self._ended.wait()
        outcome = self.submission.outcome
        if isinstance(outcome, LinkLost):
            # One loss ends many tasks: each gets an exception, and so a traceback, of its own.
            raise LinkLost(str(outcome)) from outcome
        if isinstance(outcome, Exception):
            raise outcome
        assert outcome is not None, "an ended submission has an outcome"
        return _result_in(outcome)


class _Data(msgspec.Struct):
    """The ``data`` of ``broker:taskdone``; JavaScript leaves a key out whose value is undefined."""

    result: msgspec.Raw = msgspec.Raw(b"null")


_data_decoder = msgspec.json.Decoder(_Data)


def _result_in(data: RawJson) -> RawJson:
    """Take ``result`` out of ``{"result": …}`` without decoding it."""
    try:
        return RawJson(bytes(_data_decoder.decode(data.data).result))
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Escaped lone surrogates are JSON, yet msgspec refuses them.
        decoded = json.loads(data.data)
        return RawJson.of(decoded.get("result") if isinstance(decoded, dict) else decoded)
